//! Who pushes: from two environment variables, else as `docker login` left it, by its helpers too.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use portcullis_manifests::read_pull_credentials;
use portcullis_model::RegistryLogin;
use serde_json::Value;

use crate::author_error::AuthorError;

const USER: &str = "PORTCULLIS_REGISTRY_USER";
const PASSWORD: &str = "PORTCULLIS_REGISTRY_PASSWORD";
/// How `docker login` calls its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// What a helper gives for a name where it keeps a token that is to be exchanged.
const IDENTITY_TOKEN: &str = "<token>";

/// The login for a registry; `None` where none is known.
pub(crate) fn find_login(registry: &str) -> Result<Option<RegistryLogin>, AuthorError> {
    let known = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    match (known(USER), known(PASSWORD)) {
        (Some(name), Some(password)) => return Ok(Some(RegistryLogin { name, password })),
        (None, None) => {}
        _ => return Err(AuthorError::Usage(format!("of {USER} and {PASSWORD} one alone is set"))),
    }
    let Some(file) = docker_config() else { return Ok(None) };
    match std::fs::read(&file) {
        Ok(text) => login_in(&text, registry, ask_helper)
            .map_err(|why| AuthorError::Failure(format!("{}: {why}", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuthorError::file(&file, &error)),
    }
}

fn docker_config() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = named("DOCKER_CONFIG").or_else(|| {
        named("HOME").or_else(|| named("USERPROFILE")).map(|home| home.join(".docker"))
    })?;
    Some(folder.join("config.json"))
}

/// The helper of this registry comes first, then that of all, then what is written in the file itself.
fn login_in(
    text: &[u8],
    registry: &str,
    ask: impl Fn(&str, &str) -> Result<Option<RegistryLogin>, String>,
) -> Result<Option<RegistryLogin>, String> {
    let config: Value = serde_json::from_slice(text).map_err(|_| "it is no JSON".to_owned())?;
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    let own = config.get("credHelpers").and_then(|helpers| helpers.get(server));
    for helper in [own, config.get("credsStore")].into_iter().flatten() {
        let Some(helper) = helper.as_str().filter(|helper| !helper.is_empty()) else { continue };
        if let Some(login) = ask(helper, server)? {
            return Ok(Some(login));
        }
    }
    // A file without logins is none that is broken.
    let written = read_pull_credentials(text).ok();
    Ok(written.and_then(|written| written.of(registry).cloned()))
}

/// What the program `docker-credential-HELPER` knows of a registry.
fn ask_helper(helper: &str, server: &str) -> Result<Option<RegistryLogin>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: &dyn std::fmt::Display| format!("`{program}`, which it names: {error}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut input) = child.stdin.take() {
        // Who does not listen answers nothing either.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    // It fails where it knows nothing.
    if !output.status.success() {
        return Ok(None);
    }
    let said: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| failed(&"what it says is no JSON"))?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("Username"), text("Secret")) {
        (Some(name), _) if name == IDENTITY_TOKEN => Err(failed(&format_args!(
            "it keeps an identity token, which is not exchanged here; set {USER} and {PASSWORD}"
        ))),
        (Some(name), Some(password)) => Ok(Some(RegistryLogin { name, password })),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str) -> RegistryLogin {
        RegistryLogin { name: name.to_owned(), password: "secret".to_owned() }
    }

    /// A helper that knows one registry.
    fn helper(name: &str, server: &str) -> Result<Option<RegistryLogin>, String> {
        Ok((server == "r.example").then(|| login(name)))
    }

    #[test]
    fn helpers_come_before_what_is_written() {
        let text = br#"{"credHelpers":{"r.example":"own"},"credsStore":"desktop",
            "auths":{"r.example":{},"b.example":{"auth":"bWU6cGFzcw=="},"https://index.docker.io/v1/":{"auth":"aHViOng="}}}"#;
        let found = |registry| login_in(text, registry, helper).unwrap().map(|login| login.name);
        assert_eq!(found("r.example").as_deref(), Some("own"));
        assert_eq!(found("b.example").as_deref(), Some("me"));
        assert_eq!(found("docker.io").as_deref(), Some("hub"));
        assert_eq!(found("c.example"), None);
    }

    #[test]
    fn a_file_without_logins_is_well_and_one_that_is_broken_is_not() {
        assert_eq!(login_in(b"{}", "r.example", helper), Ok(None));
        assert_eq!(login_in(b"{\"auths\":{}}", "r.example", helper), Ok(None));
        assert!(login_in(b"{", "r.example", helper).is_err());
        let missing = ask_helper("that-nobody-has", "r.example").unwrap_err();
        assert!(missing.contains("docker-credential-that-nobody-has"), "{missing}");
    }
}
