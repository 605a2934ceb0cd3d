//! What a registry says of an image: its manifest, or an index of several.

use serde::Deserialize;

use crate::SupplyError;

/// So many layers or manifests are looked at.
const MOST_ENTRIES: usize = 128;

/// A document of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several, by platform.
    Index(Index),
}

/// What an image consists of, in OCI's or Docker's form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The layers, the last one on top.
    pub layers: Vec<Descriptor>,
    /// What kind of artifact it is.
    #[serde(default)]
    pub artifact_type: Option<String>,
}

/// Images by platform, or what refers to an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// The images.
    pub manifests: Vec<Descriptor>,
}

/// A reference to something else in the same repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// What kind of artifact it is.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// For which platform it is.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// What else is said of it.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// A platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// Such as `amd64` or `wasm`.
    #[serde(default)]
    pub architecture: String,
    /// Such as `linux`.
    #[serde(default)]
    pub os: String,
}

impl Document {
    /// Reads a manifest or index; which it is, its contents say.
    ///
    /// # Errors
    /// It is neither, or refers to something by another digest than SHA-256.
    pub fn parse(text: &[u8]) -> Result<Self, SupplyError> {
        #[derive(Deserialize)]
        struct Either {
            layers: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let malformed = |error: serde_json::Error| {
            SupplyError::Malformed(format!("the manifest is broken: {error}"))
        };
        let either: Either = serde_json::from_slice(text).map_err(malformed)?;
        let document = match (either.layers.is_some(), either.manifests.is_some()) {
            (true, false) => Document::Manifest(serde_json::from_slice(text).map_err(malformed)?),
            (false, true) => Document::Index(serde_json::from_slice(text).map_err(malformed)?),
            _ => {
                let message = "the manifest has neither `layers` nor `manifests`, or both";
                return Err(SupplyError::Malformed(message.to_owned()));
            }
        };
        document.check()?;
        Ok(document)
    }

    fn check(&self) -> Result<(), SupplyError> {
        let entries = match self {
            Document::Manifest(manifest) => &manifest.layers,
            Document::Index(index) => &index.manifests,
        };
        if entries.len() > MOST_ENTRIES {
            return Err(SupplyError::Malformed("the manifest has too many entries".to_owned()));
        }
        match entries.iter().find(|entry| !is_digest(&entry.digest)) {
            Some(entry) => Err(SupplyError::Malformed(format!(
                "the manifest names `{}`, which is no SHA-256 digest",
                entry.digest.escape_debug()
            ))),
            None => Ok(()),
        }
    }
}

impl Index {
    /// The image to take: modules have no platform, but tools that build images write one. One without comes first, then
    /// one for Wasm, then any that is no attestation.
    pub fn choose(&self) -> Option<&Descriptor> {
        let platform = |entry: &&Descriptor, wanted: &str| {
            entry.platform.as_ref().is_some_and(|platform| platform.architecture == wanted)
        };
        let entries = || self.manifests.iter();
        entries()
            .find(|entry| entry.platform.is_none())
            .or_else(|| entries().find(|entry| platform(entry, "wasm")))
            .or_else(|| entries().find(|entry| !platform(entry, "unknown")))
    }
}

pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: char) -> String {
        format!("sha256:{}", of.to_string().repeat(64))
    }

    fn entry(of: char, more: &str) -> String {
        format!(r#"{{"mediaType":"m","digest":"{}","size":1{more}}}"#, digest(of))
    }

    fn chosen(entries: &[String]) -> String {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        let Document::Index(index) = Document::parse(text.as_bytes()).unwrap() else { panic!() };
        index.choose().map(|entry| entry.digest.clone()).unwrap_or_default()
    }

    #[test]
    fn of_several_images_the_one_without_a_platform_is_taken() {
        let amd64 = entry('a', r#","platform":{"architecture":"amd64","os":"linux"}"#);
        let wasm = entry('b', r#","platform":{"architecture":"wasm","os":"wasip1"}"#);
        let attestation = entry('c', r#","platform":{"architecture":"unknown","os":"unknown"}"#);
        let none = entry('d', "");
        assert_eq!(chosen(&[amd64.clone(), wasm.clone(), none]), digest('d'));
        assert_eq!(chosen(&[amd64.clone(), wasm]), digest('b'));
        assert_eq!(chosen(&[attestation.clone(), amd64]), digest('a'));
        assert_eq!(chosen(&[attestation]), "");
    }

    #[test]
    fn what_is_neither_or_names_something_strange_is_refused() {
        let layer = entry('a', "");
        for text in [
            "".to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"{{"layers":[{layer}],"manifests":[]}}"#),
            r#"{"layers":[{"digest":"sha256:../../x","size":1}]}"#.to_owned(),
            r#"{"layers":[{"digest":"md5:00","size":1}]}"#.to_owned(),
            format!(r#"{{"layers":[{}]}}"#, vec![layer; 129].join(",")),
        ] {
            assert!(matches!(Document::parse(text.as_bytes()), Err(SupplyError::Malformed(_))));
        }
    }
}
