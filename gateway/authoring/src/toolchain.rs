//! Finds a Rust that compiles to Wasm, and sets one up where it may.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::author_error::AuthorError;
use crate::effort::Effort;
use crate::progress::Progress;

/// What plugins are compiled for: Proxy-Wasm gives them clock, log and randomness, so they need no WASI and no libc.
pub(crate) const TRIPLE: &str = "wasm32-unknown-unknown";
/// The oldest compiler that the SDK is written for.
const OLDEST: (u32, u32) = (1, 88);
/// Debian's Rust with the sources of its standard library, for machines without rustup.
const DEBIAN_PACKAGES: [&str; 5] =
    ["rustc-web", "cargo-web", "rust-web-src", "libstd-rust-web-dev", "lld"];

/// A cargo and a rustc that can compile for [`TRIPLE`].
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    library: Library,
}

/// Where the standard library for the target comes from.
#[derive(Clone, Debug)]
enum Library {
    Installed,
    /// Compiled beside the plugin; linked by this linker.
    FromSource {
        linker: PathBuf,
    },
}

/// An installed target first, then Debian's Rust, then what may be fetched: rustup's target, Debian's packages.
pub(crate) fn find_toolchain(progress: &Progress) -> Result<Toolchain, AuthorError> {
    installed_target()
        .or_else(debian_toolchain)
        .or_else(|| add_target(progress).then(installed_target).flatten())
        .or_else(|| install_debian_packages(progress).then(debian_toolchain).flatten())
        .ok_or_else(|| {
            AuthorError::Failure(format!(
                "no Rust of version {}.{} or newer here compiles for {TRIPLE}; run `rustup target add {TRIPLE}`, or on Debian \
                 `sudo apt-get install {}`, and try again",
                OLDEST.0,
                OLDEST.1,
                DEBIAN_PACKAGES.join(" ")
            ))
        })
}

impl Toolchain {
    /// The compiler's version, and where its library is from.
    pub(crate) fn describe(&self) -> String {
        let version = output(&self.rustc, &["--version"]).unwrap_or_default();
        let version = version.split(" (").next().unwrap_or_default().to_owned();
        match self.library {
            Library::Installed => version,
            Library::FromSource { .. } => format!("{version} and a standard library from source"),
        }
    }

    /// `cargo build` for Wasm in this folder.
    pub(crate) fn build_command(&self, folder: &Path, effort: Effort) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(folder).args([
            "build",
            "--lib",
            "--target",
            TRIPLE,
            "--profile",
            effort.profile(),
        ]);
        command.args(effort.cargo_arguments());
        command.env("RUSTC", &self.rustc);
        // Flags meant for programs of this machine (a processor, an instrumentation) do not fit a module.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_BUILD_RUSTFLAGS",
            "RUSTC_WRAPPER",
        ] {
            command.env_remove(name);
        }
        if let Library::FromSource { linker } = &self.library {
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            command.env("RUSTC_BOOTSTRAP", "1");
            command.args([
                "-Zbuild-std=core,alloc,std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
            ]);
        }
        command
    }
}

/// The first program of that name on the search path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let name = OsString::from(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
}

fn installed_target() -> Option<Toolchain> {
    let (cargo, rustc) = (program("cargo")?, program("rustc")?);
    if version_of(&rustc) < OLDEST {
        return None;
    }
    let library = sysroot(&rustc)?.join("lib/rustlib").join(TRIPLE).join("lib");
    let mut files = library.read_dir().ok()?.flatten();
    let found = files.any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    });
    found.then_some(Toolchain { cargo, rustc, library: Library::Installed })
}

/// Debian brings its Rust beside whatever else is on the path.
fn debian_toolchain() -> Option<Toolchain> {
    let (cargo, rustc) = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
    if !cargo.is_file() || !rustc.is_file() || version_of(&rustc) < OLDEST {
        return None;
    }
    let sysroot = sysroot(&rustc)?;
    let sources = sysroot.join("lib/rustlib/src/rust/library/std");
    let linker = program("wasm-ld").or_else(|| own_linker(&sysroot))?;
    sources.is_dir().then_some(Toolchain { cargo, rustc, library: Library::FromSource { linker } })
}

fn own_linker(sysroot: &Path) -> Option<PathBuf> {
    let triples = sysroot.join("lib/rustlib").read_dir().ok()?.flatten();
    triples.map(|triple| triple.path().join("bin/rust-lld")).find(|linker| linker.is_file())
}

fn add_target(progress: &Progress) -> bool {
    let Some(rustup) = program("rustup") else { return false };
    progress.say(&format!("rustup target add {TRIPLE}"));
    succeeds(Command::new(rustup).args(["target", "add", TRIPLE]), progress)
}

/// As root, or where sudo asks for no password. Binaryen only makes modules smaller, so it may fail.
fn install_debian_packages(progress: &Progress) -> bool {
    let (Some(apt), Some(prefix)) = (program("apt-get"), privilege()) else { return false };
    let run = |arguments: &[&str]| {
        let mut words = prefix.iter().map(OsString::from).chain([apt.clone().into_os_string()]);
        let Some(first) = words.next() else { return false };
        let mut command = Command::new(first);
        command.args(words).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(&mut command, progress)
    };
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    progress.say(&format!("apt-get install {}", DEBIAN_PACKAGES.join(" ")));
    run(&["update", "-qq"]);
    let installed = run(&[&install[..], &DEBIAN_PACKAGES[..]].concat());
    run(&[&install[..], &["binaryen"]].concat());
    installed
}

/// What stands before a command that installs: nothing for root, `sudo -n` where that works.
fn privilege() -> Option<Vec<&'static str>> {
    if output(Path::new("id"), &["-u"]).is_some_and(|user| user == "0") {
        return Some(Vec::new());
    }
    let allowed = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    allowed.is_ok_and(|status| status.success()).then(|| vec!["sudo", "-n"])
}

/// What a program prints goes to standard error: standard output is for results.
fn succeeds(command: &mut Command, progress: &Progress) -> bool {
    command.stdin(Stdio::null());
    if progress.is_shown() {
        command.stdout(std::io::stderr());
    } else {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    command.status().is_ok_and(|status| status.success())
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    output(rustc, &["--print", "sysroot"]).map(PathBuf::from)
}

fn version_of(rustc: &Path) -> (u32, u32) {
    output(rustc, &["--version"]).as_deref().and_then(parse_version).unwrap_or_default()
}

/// `rustc 1.95.0 (…)`
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(' ').nth(1)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let run = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_says_its_version() {
        assert_eq!(parse_version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(parse_version("rustc 1.99.0-nightly"), Some((1, 99)));
        assert_eq!(parse_version("clang"), None);
    }

    #[test]
    fn programs_are_found_where_the_shell_finds_them() {
        assert!(program("cargo").is_some());
        assert_eq!(program("no-program-has-this-name"), None);
    }
}
