//! Every target over its seeds, and over seeds with a little damage, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::path::{Path, PathBuf};

use portcullis_fuzz::{TARGETS, Target};

/// So many cuts and so many changed bytes of each seed.
const DAMAGES: usize = 32;

fn seeds(target: &Target) -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
    let mut seeds: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_target_keeps_its_promises_on_its_seeds() {
    for target in &TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 3, "{} has only {} seeds", target.name, seeds.len());
        (target.run)(&[]);
        for seed in seeds {
            println!("{}: {}", target.name, seed.display());
            let seed = std::fs::read(seed).unwrap();
            (target.run)(&seed);
            damaged(&seed).for_each(|input| (target.run)(&input));
        }
    }
}

fn damaged(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = seed.len().div_ceil(DAMAGES).max(1);
    (0..seed.len()).step_by(step).flat_map(move |at| {
        let mut changed = seed.to_vec();
        // Always the same one, so that what fails once fails again.
        changed[at] ^= u8::try_from(at % 127 + 1).unwrap();
        [seed[..at].to_vec(), changed]
    })
}

#[test]
fn every_target_is_linked_to_the_fuzzer() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    for target in &TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
}
