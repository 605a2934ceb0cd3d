//! What an image says of its module: its name, when it was built, where its source is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use portcullis_telemetry::rfc3339;

const PREFIX: &str = "org.opencontainers.image";

/// The annotations of a module's image. The same module gets the same ones, and so the same digest.
pub(crate) fn annotations(module: &Path) -> BTreeMap<String, String> {
    let mut said = BTreeMap::from([(format!("{PREFIX}.title"), plugin_name(module))]);
    if let Some(built) = built(module) {
        said.insert(format!("{PREFIX}.created"), rfc3339(built));
    }
    let folder = module.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(source) = source(folder.unwrap_or(Path::new("."))) {
        said.insert(format!("{PREFIX}.source"), source);
    }
    said
}

/// The name of a module's file as Kubernetes has names.
pub(crate) fn plugin_name(module: &Path) -> String {
    let stem = module.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = stem.chars().map(|letter| plain(letter.to_ascii_lowercase())).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "plugin".to_owned() } else { name.chars().take(63).collect() }
}

fn built(module: &Path) -> Option<SystemTime> {
    std::fs::metadata(module).ok()?.modified().ok()
}

/// Where the repository is that the module lies in, as a browser would open it.
fn source(folder: &Path) -> Option<String> {
    let output = Command::new("git")
        .args(["remote", "get-url", "origin"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    as_url(String::from_utf8(output.stdout).ok()?.trim())
}

/// A remote as a URL without names and passwords; `None` for what is no place on the network.
fn as_url(remote: &str) -> Option<String> {
    let rest = match remote.split_once("://") {
        Some(("https" | "http" | "ssh", rest)) => rest.to_owned(),
        Some(_) => return None,
        None => {
            remote.split_once(':').filter(|(host, _)| host.contains('@'))?.0.to_owned()
                + "/"
                + remote.split_once(':')?.1.trim_start_matches('/')
        }
    };
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty()).then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for (file, name) in [
            ("target/portcullis/my_Auth.wasm", "my-auth"),
            ("a.b.wasm", "a-b"),
            ("-.wasm", "plugin"),
        ] {
            assert_eq!(plugin_name(Path::new(file)), name);
        }
    }

    #[test]
    fn a_source_shows_no_password() {
        let url = Some("https://git.example/team/auth".to_owned());
        for remote in [
            "https://git.example/team/auth.git",
            "https://me:secret@git.example/team/auth",
            "git@git.example:team/auth.git",
            "ssh://git@git.example/team/auth.git",
        ] {
            assert_eq!(as_url(remote), url, "{remote}");
        }
        assert_eq!(as_url("../elsewhere"), None);
        assert_eq!(as_url("file:///srv/auth"), None);
    }
}
