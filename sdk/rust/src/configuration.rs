//! Reading the plugin's configuration, with the path of the field in every error.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads a configuration; empty bytes read as `{}`.
pub(crate) fn read_configuration<C: DeserializeOwned>(
    bytes: &[u8],
) -> Result<C, ConfigurationError> {
    let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let configuration = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| ConfigurationError::at(readable_path(error.path()), error.inner()))?;
    json.end().map_err(|error| ConfigurationError::at("", error))?;
    Ok(configuration)
}

fn readable_path(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { path }
}

/// For filters without any configuration; a field given anyway is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NoConfiguration {}

/// Why a configuration was refused: the path of the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError {
    path: String,
    message: String,
}

impl ConfigurationError {
    /// An error about one field, by its path in the configuration: `jwtRules[0].issuer`. An empty path means all of it.
    pub fn at(path: impl Into<String>, message: impl fmt::Display) -> Self {
        ConfigurationError { path: path.into(), message: message.to_string() }
    }

    /// The path of the field, empty for the whole configuration.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "pluginConfig: {}", self.message),
            path => write!(f, "pluginConfig.{path}: {}", self.message),
        }
    }
}

impl std::error::Error for ConfigurationError {}

impl From<crate::HostError> for ConfigurationError {
    fn from(error: crate::HostError) -> Self {
        ConfigurationError::at("", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Rule {
        issuer: String,
    }

    fn refusal(text: &str) -> String {
        read_configuration::<Outer>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn nothing_reads_as_an_empty_object() {
        assert!(read_configuration::<Outer>(b" ").unwrap().rules.is_empty());
        assert_eq!(read_configuration::<NoConfiguration>(b"").unwrap(), NoConfiguration {});
    }

    #[test]
    fn an_error_names_the_path_of_the_field() {
        assert!(
            refusal(r#"{"rules": [{"issuer": 1}]}"#)
                .starts_with("pluginConfig.rules[0].issuer: invalid type")
        );
        assert!(
            refusal(r#"{"rules": [{"isuer": "a"}]}"#)
                .starts_with("pluginConfig.rules[0].isuer: unknown field")
        );
        assert!(refusal("{} x").starts_with("pluginConfig: trailing characters"));
        assert!(refusal("nonsense").starts_with("pluginConfig: "));
    }
}
