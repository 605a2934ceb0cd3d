//! From the configuration as written to rules that hold: keys read, names checked, every error with its path.

use portcullis_sdk::ConfigurationError;
use serde_json::Value;

use crate::jwk::{self, Key};
use crate::settings::{ClaimSettings, HeaderSettings, RuleSettings, Settings};

/// One issuer.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: Vec<Key>,
    pub(crate) sources: Vec<Source>,
    pub(crate) original_token: OriginalToken,
    pub(crate) outputs: Vec<Output>,
}

/// A header in which a token may be, and what stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) header: String,
    pub(crate) prefix: Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// The scheme `Bearer`, in any case.
    Bearer,
    /// Exactly this, and then the token.
    Literal(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginalToken {
    Forwarded,
    Removed,
}

/// What a header gets.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) header: String,
    pub(crate) from: OutputSource,
}

#[derive(Debug)]
pub(crate) enum OutputSource {
    /// A claim, by its path.
    Claim(Vec<String>),
    /// The payload in base64url.
    Payload,
}

/// Checks the whole configuration.
pub(crate) fn compile(settings: &Settings) -> Result<Vec<Rule>, ConfigurationError> {
    if settings.jwt_rules.is_empty() {
        return Err(ConfigurationError::at("jwtRules", "must hold at least one rule"));
    }
    let numbered = settings.jwt_rules.iter().enumerate();
    numbered.map(|(index, rule)| compile_rule(rule, &format!("jwtRules[{index}]"))).collect()
}

/// The distinct headers that are written, in the order that [`crate::admission::Verified::output`] counts in.
pub(crate) fn output_headers(rules: &[Rule]) -> Vec<String> {
    let mut headers: Vec<String> = Vec::new();
    for output in rules.iter().flat_map(|rule| &rule.outputs) {
        if !headers.contains(&output.header) {
            headers.push(output.header.clone());
        }
    }
    headers
}

fn compile_rule(settings: &RuleSettings, path: &str) -> Result<Rule, ConfigurationError> {
    if settings.issuer.is_empty() {
        return Err(ConfigurationError::at(format!("{path}.issuer"), "must not be empty"));
    }
    Ok(Rule {
        issuer: settings.issuer.clone(),
        audiences: settings.audiences.clone(),
        keys: read_keys(&settings.jwks, &format!("{path}.jwks"))?,
        sources: compile_sources(&settings.from_headers, path)?,
        original_token: match settings.forward_original_token {
            true => OriginalToken::Forwarded,
            false => OriginalToken::Removed,
        },
        outputs: compile_outputs(settings, path)?,
    })
}

fn read_keys(jwks: &Value, path: &str) -> Result<Vec<Key>, ConfigurationError> {
    let keys = match jwks {
        Value::String(text) => {
            let parsed: Value = serde_json::from_str(text)
                .map_err(|error| ConfigurationError::at(path, format!("is not JSON: {error}")))?;
            jwk::read_set(&parsed, path)?
        }
        other => jwk::read_set(other, path)?,
    };
    if keys.is_empty() {
        let message = "has no key to verify with; usable are oct with HS256, RSA with RS256 and EC P-256 with ES256";
        return Err(ConfigurationError::at(path, message));
    }
    Ok(keys)
}

fn compile_sources(
    settings: &[HeaderSettings],
    path: &str,
) -> Result<Vec<Source>, ConfigurationError> {
    if settings.is_empty() {
        return Ok(vec![Source { header: "authorization".to_owned(), prefix: Prefix::Bearer }]);
    }
    let numbered = settings.iter().enumerate();
    numbered
        .map(|(index, source)| {
            let header = header_name(&source.name, &format!("{path}.fromHeaders[{index}].name"))?;
            let is_bearer = source.prefix.trim().eq_ignore_ascii_case("bearer");
            let prefix =
                if is_bearer { Prefix::Bearer } else { Prefix::Literal(source.prefix.clone()) };
            Ok(Source { header, prefix })
        })
        .collect()
}

fn compile_outputs(settings: &RuleSettings, path: &str) -> Result<Vec<Output>, ConfigurationError> {
    let mut outputs = Vec::new();
    for (index, ClaimSettings { header, claim }) in
        settings.output_claim_to_headers.iter().enumerate()
    {
        let path = format!("{path}.outputClaimToHeaders[{index}]");
        if claim.is_empty() {
            return Err(ConfigurationError::at(format!("{path}.claim"), "must not be empty"));
        }
        let header = header_name(header, &format!("{path}.header"))?;
        outputs.push(Output { header, from: OutputSource::Claim(claim_path(claim)) });
    }
    if let Some(header) = &settings.output_payload_to_header {
        let header = header_name(header, &format!("{path}.outputPayloadToHeader"))?;
        outputs.push(Output { header, from: OutputSource::Payload });
    }
    Ok(outputs)
}

/// A name such as `https://example.com/roles` is one claim; dots part a path otherwise.
fn claim_path(claim: &str) -> Vec<String> {
    if claim.contains("://") {
        vec![claim.to_owned()]
    } else {
        claim.split('.').map(str::to_owned).collect()
    }
}

/// A field name of HTTP, in lower case; never one that frames or routes the request.
fn header_name(name: &str, path: &str) -> Result<String, ConfigurationError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ConfigurationError::at(path, format!("{name:?} is no header name")));
    }
    if ["host", "content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
        return Err(ConfigurationError::at(path, format!("{name:?} is not for plugins")));
    }
    Ok(name)
}
