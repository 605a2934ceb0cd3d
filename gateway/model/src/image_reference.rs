//! Names of images in OCI registries.

use std::fmt;

/// Where a short name leads, as with every other tool.
const DEFAULT_REGISTRY: &str = "docker.io";
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// `REGISTRY/REPOSITORY:TAG@DIGEST`, of which the registry defaults to `docker.io` and tag and digest may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    /// `HOST` or `HOST:PORT`
    pub registry: String,
    /// The path of the repository, without slashes at its ends.
    pub repository: String,
    /// The tag; without tag and digest it is `latest`.
    pub tag: Option<String>,
    /// `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Reads a reference, without a scheme.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(read_digest(digest)?)),
            None => (text, None),
        };
        let (registry, path) = split_registry(rest);
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(read_tag(tag)?)),
            None => (path, None),
        };
        if repository.len() > LONGEST_NAME || !repository.split('/').all(is_component) {
            return Err("the repository is not lower-case names joined by slashes");
        }
        let is_short = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let repository =
            if is_short { format!("library/{repository}") } else { repository.to_owned() };
        if !is_host(registry) {
            return Err("the registry is no host");
        }
        Ok(ImageReference { registry: registry.to_owned(), repository, tag, digest })
    }

    /// What is asked for: the digest, else the tag, else `latest`.
    pub fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// Whether what it names may change from one day to the next by custom: `latest`, and no digest.
    pub fn is_latest(&self) -> bool {
        self.version() == "latest"
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// What stands before the first slash is a registry where it looks like a host.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<http::uri::Authority>() else { return false };
    let has_port = text.len() > authority.host().len();
    !authority.host().is_empty()
        && !text.contains('@')
        && (!has_port || authority.port_u16().is_some())
}

fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| plain(byte) || matches!(byte, b'.' | b'_' | b'-');
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().copied().all(inner)
}

fn read_tag(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins = text.bytes().next().is_some_and(|byte| !matches!(byte, b'.' | b'-'));
    if begins && text.len() <= LONGEST_TAG && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("the tag has characters that no tag has")
    }
}

fn read_digest(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix("sha256:").ok_or("the digest does not begin with `sha256:`")?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() == 64 && digits.bytes().all(is_hex) {
        Ok(text.to_owned())
    } else {
        Err("the digest is not `sha256:` and 64 lower-case hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_by_other_tools() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, whole, version) in [
            ("ghcr.io/team/auth:1.2".to_owned(), "ghcr.io/team/auth:1.2", "1.2"),
            ("localhost:5000/a".to_owned(), "localhost:5000/a", "latest"),
            ("auth".to_owned(), "docker.io/library/auth", "latest"),
            ("team/auth:v1".to_owned(), "docker.io/team/auth:v1", "v1"),
            (format!("r.io/a:x@{digest}"), &format!("r.io/a:x@{digest}"), &digest),
        ] {
            let read = ImageReference::parse(&text).unwrap();
            assert_eq!((read.to_string().as_str(), read.version()), (whole, version));
            assert_eq!(read.is_latest(), version == "latest");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "r.io/",
            "r.io/A",
            "r.io/a//b",
            "r.io/a:",
            "r.io/a:.x",
            "r.io/a@sha256:1",
            "r.io/../x",
            "u@r.io/a",
            "r.io:x/a",
            "r.io/a?b",
            "r.io/a b",
            "r.io/a@md5:00",
        ] {
            assert!(ImageReference::parse(text).is_err(), "{text}");
        }
    }
}
