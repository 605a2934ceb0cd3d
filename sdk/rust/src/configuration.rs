//! Reading the plugin's configuration, with the path of the field in every error.

use std::fmt;

use serde::de::DeserializeOwned;

/// What a filter can be configured with: every type with [`#[configuration]`](macro@crate::configuration), everything
/// else that serde reads from JSON, and [`NoConfiguration`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a plugin's configuration",
    note = "put `#[configuration]` above it"
)]
pub trait Configuration: Sized {
    /// Reads a configuration; empty bytes read as `{}`.
    ///
    /// # Errors
    /// The bytes are no such configuration; the error has the path of the field.
    fn read(bytes: &[u8]) -> Result<Self, ConfigurationError>;
}

impl<C: DeserializeOwned> Configuration for C {
    fn read(bytes: &[u8]) -> Result<C, ConfigurationError> {
        let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let configuration = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| ConfigurationError::at(readable_path(error.path()), error.inner()))?;
        json.end().map_err(|error| ConfigurationError::at("", error))?;
        Ok(configuration)
    }
}

fn readable_path(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { path }
}

/// For filters without any configuration; a field given anyway is refused.
///
/// It is read without serde, which would be a third of a small module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoConfiguration {}

impl Configuration for NoConfiguration {
    fn read(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        let inside = match bytes.trim_ascii() {
            [] | [b'{', b'}'] => return Ok(NoConfiguration {}),
            [b'{', inside @ .., b'}'] => inside.trim_ascii(),
            _ => return Err(ConfigurationError::at("", "the filter takes none")),
        };
        if inside.is_empty() {
            return Ok(NoConfiguration {});
        }
        Err(ConfigurationError::at(first_field(inside), "the filter has no such field"))
    }
}

/// The name between the first quotes, as far as it is plain.
fn first_field(inside: &[u8]) -> String {
    let after_quote = inside.iter().copied().skip_while(|byte| *byte != b'"').skip(1);
    let name = after_quote.take_while(|byte| byte.is_ascii_graphic() && *byte != b'"');
    name.map(char::from).collect()
}

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
    use serde::Deserialize;

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
        Outer::read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn nothing_reads_as_an_empty_object() {
        assert!(Outer::read(b" ").unwrap().rules.is_empty());
        assert_eq!(NoConfiguration::read(b"").unwrap(), NoConfiguration {});
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

    #[test]
    fn who_takes_none_refuses_any() {
        let read = |text: &str| NoConfiguration::read(text.as_bytes());
        for none in ["", " \n", "{}", " { } "] {
            assert_eq!(read(none), Ok(NoConfiguration {}), "{none:?}");
        }
        for (some, refusal) in [
            (r#"{ "header": 1 }"#, "pluginConfig.header: the filter has no such field"),
            ("null", "pluginConfig: the filter takes none"),
            ("{", "pluginConfig: the filter takes none"),
            ("text", "pluginConfig: the filter takes none"),
        ] {
            assert_eq!(read(some).unwrap_err().to_string(), refusal, "{some}");
        }
    }
}
