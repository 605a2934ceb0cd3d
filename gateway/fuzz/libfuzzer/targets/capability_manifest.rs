//! `portcullis_fuzz::TARGETS`: `capability_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("capability_manifest", input));
