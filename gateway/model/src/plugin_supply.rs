//! How a plugin's module is got: from where, when anew, with whose word.

use std::fmt;
use std::sync::Arc;

use portcullis_crypto::PublicKey;

/// When a module is pulled that is at hand already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// `IfNotPresent`; also what a digest makes of any policy, for what it names never changes.
    #[default]
    IfNotPresent,
    /// `Always`: with each start and each reload by signal.
    Always,
}

/// How a module that is not at hand is got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSupply {
    /// `imagePullPolicy`
    pub pull: PullPolicy,
    /// `imagePullSecret`
    pub credentials: PullCredentials,
    /// `verificationKey`: the image has to be signed by this key.
    pub verification_key: Option<Arc<PublicKey>>,
}

/// With which name and password images are pulled.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PullCredentials {
    /// With none.
    #[default]
    None,
    /// By registry.
    Known(Arc<RegistryCredentials>),
    /// Those that are written cannot be had: says why. Nothing is pulled without them.
    Missing(String),
}

/// Names and passwords by registry, as in a Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryCredentials {
    entries: Vec<(String, RegistryLogin)>,
}

/// Who pulls.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The name.
    pub name: String,
    /// The password or token.
    pub password: String,
}

impl RegistryCredentials {
    /// Takes entries whose keys are registries as `docker login` writes them: `HOST`, `HOST:PORT`, or a URL.
    pub fn new(entries: impl IntoIterator<Item = (String, RegistryLogin)>) -> Self {
        let entries = entries.into_iter().map(|(key, login)| (host_of(&key).to_owned(), login));
        RegistryCredentials { entries: entries.collect() }
    }

    /// What is known for a registry.
    pub fn of(&self, registry: &str) -> Option<&RegistryLogin> {
        let wanted = host_of(registry);
        self.entries.iter().find(|(host, _)| host == wanted).map(|(_, login)| login)
    }
}

/// The host and port in a key; Docker's own registry has several names.
fn host_of(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    match key.split_once('/').map_or(key, |(host, _)| host) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// Passwords are never shown.
impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryLogin({}, ***)", self.name)
    }
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(host, _)| host)).finish()
    }
}

/// `https://…`, or `http://…` for what a digest vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleUrl(String);

impl ModuleUrl {
    /// Reads an absolute URL of these schemes.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url: http::Uri = text.parse().map_err(|_| "this is no URL")?;
        if !matches!(url.scheme_str(), Some("https" | "http")) {
            return Err("its scheme is neither https nor http");
        }
        match url.authority() {
            Some(authority) if authority.as_str().contains('@') => {
                Err("a name and password in a URL would be shown in logs")
            }
            Some(authority) if !authority.host().is_empty() => Ok(ModuleUrl(url.to_string())),
            _ => Err("it has no host"),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody on the way can change what comes.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_registry() {
        let login = |name: &str| RegistryLogin { name: name.into(), password: "secret".into() };
        let known = RegistryCredentials::new([
            ("https://index.docker.io/v1/".to_owned(), login("hub")),
            ("r.example:5000".to_owned(), login("own")),
        ]);
        let name = |registry| known.of(registry).map(|login| login.name.as_str());
        assert_eq!(name("docker.io"), Some("hub"));
        assert_eq!(name("r.example:5000"), Some("own"));
        assert_eq!(name("r.example"), None);
        assert!(!format!("{known:?} {:?}", known.of("docker.io")).contains("secret"));
    }

    #[test]
    fn urls_have_a_host_and_no_password() {
        assert!(ModuleUrl::parse("https://a.example/x.wasm?v=1").unwrap().is_https());
        assert!(!ModuleUrl::parse("http://a.example/x.wasm").unwrap().is_https());
        for text in ["ftp://a/x", "https:///x", "a/x", "https://u:p@a/x", "https://a b/"] {
            assert!(ModuleUrl::parse(text).is_err(), "{text}");
        }
    }
}
