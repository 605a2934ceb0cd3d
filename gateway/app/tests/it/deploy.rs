//! What is deployed: the image's recipe, the systemd unit, the manifests for EKS. No container runtime is needed.

mod kubernetes;
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::gateway::binary;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn dockerfile() -> String {
    std::fs::read_to_string(root().join("deploy/image/Dockerfile")).unwrap().replace("\\\n", " ")
}

fn instructions<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect()
}

fn successful(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
fn everything_that_the_image_copies_is_there_and_not_ignored() {
    let text = dockerfile();
    let ignore = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let mut copied = 0;
    for copy in instructions(&text, "COPY") {
        let words: Vec<&str> = copy.split_whitespace().collect();
        if words[0].starts_with("--from=build") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "COPY {copy}");
            let taken = ignore.lines().filter_map(|line| line.strip_prefix('!'));
            assert!(
                taken.clone().any(|taken| Path::new(source).starts_with(taken)),
                "{source} is ignored"
            );
            copied += 1;
        }
    }
    assert!(copied > 5);
    // The members of the workspace have to be there, or cargo reads no manifest.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        let top = member.split('/').next().unwrap();
        let copies = instructions(&text, "COPY");
        assert!(
            copies.iter().any(|copy| copy.split_whitespace().any(|word| word == top)),
            "{member}"
        );
    }
}

#[test]
fn the_image_runs_as_nobody_and_starts_what_exists() {
    let text = dockerfile();
    let user = instructions(&text, "USER")[0];
    let (user, group) = user.split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    let entry: Vec<String> = serde_json::from_str(instructions(&text, "ENTRYPOINT")[0]).unwrap();
    assert!(instructions(&text, "COPY").iter().any(|copy| copy.ends_with(&entry[0])));
    // The real binary takes the command, and each variable is one of its options.
    let command: Vec<String> = serde_json::from_str(instructions(&text, "CMD")[0]).unwrap();
    let help = successful(Command::new(binary()).args(&command).arg("--help"));
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for assignment in instructions(&text, "ENV")[0].split_whitespace() {
        let (variable, _) = assignment.split_once('=').unwrap();
        assert!(help.contains(&format!("env: {variable}=")), "{variable}");
    }
}

#[test]
fn the_image_is_built_as_make_builds_and_from_pinned_bases() {
    let toolchain = std::fs::read_to_string(root().join("deploy/image/toolchain")).unwrap();
    let make = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let build = "cargo build --release --package portcullis";
    assert!(make.contains(build) && toolchain.contains(build));
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rust = manifest.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    for from in instructions(&dockerfile(), "FROM") {
        assert!(from == "scratch" || from.contains(&format!("rust:{rust}-")), "{from}");
    }
}

/// The step of the build that makes the image's root, on the binary under test.
#[test]
fn the_image_holds_all_that_the_binary_loads() {
    let tool = |name: &str| Command::new(root().join("deploy/image").join(name));
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let libraries = successful(tool("toolchain").args(["libraries", arch]));
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let image = tempfile::tempdir().unwrap();
    successful(tool("collect").arg(binary()).arg(image.path()).args(libraries.split_whitespace()));
    // Its own loader, told to look nowhere else, finds every library.
    let loader = loaders(image.path()).pop().unwrap();
    let lib = image.path().join("lib");
    let mut command = Command::new(loader);
    command.arg("--inhibit-cache").arg("--library-path").arg(&lib).arg(binary()).arg("version");
    let version = successful(&mut command);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("portcullis "));
    let needed = successful(Command::new("readelf").arg("-d").arg(binary()));
    let needed = String::from_utf8(needed.stdout).unwrap();
    for line in needed.lines().filter(|line| line.contains("(NEEDED)")) {
        let name = line.split(['[', ']']).nth(1).unwrap();
        assert!(lib.join(name).is_file(), "{name}");
    }
    assert!(image.path().join("etc/nsswitch.conf").is_file());
    let refused = tool("toolchain").args(["libraries", "riscv64"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

/// The dynamic loaders below an image's root.
fn loaders(image: &Path) -> Vec<PathBuf> {
    let directories = ["lib64", "lib"].map(|name| image.join(name));
    let files = directories.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ld-linux"))
        .collect()
}
