//! Telling a registry who asks: by name and password, or by a token that a server of tokens gives for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::header::HeaderValue;
use portcullis_model::RegistryLogin;
use serde::Deserialize;

use crate::SupplyError;
use crate::challenge::Challenge;
use crate::origin::NamedBy;
use crate::transport::{Ask, Transport, shown};
use crate::web::get;

const MOST_TOKEN_BYTES: usize = 64 << 10;

/// What answers one of the challenges of a registry. A token comes first: it is good for one thing only.
pub(crate) async fn authorize(
    transport: &Transport,
    registry: &Uri,
    challenges: &[Challenge],
    login: Option<&RegistryLogin>,
) -> Result<Option<HeaderValue>, SupplyError> {
    for challenge in challenges {
        if let Challenge::Bearer { realm, service, scope } = challenge {
            let parameters = [("service", service), ("scope", scope)];
            let token = fetch_token(transport, registry, (realm, &parameters), login).await?;
            return Ok(secret(format!("Bearer {token}")));
        }
    }
    match login {
        Some(login) if challenges.contains(&Challenge::Basic) => Ok(basic(login)),
        _ => Ok(None),
    }
}

type Parameters<'a> = [(&'a str, &'a Option<String>); 2];

async fn fetch_token(
    transport: &Transport,
    registry: &Uri,
    (realm, parameters): (&str, &Parameters<'_>),
    login: Option<&RegistryLogin>,
) -> Result<String, SupplyError> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    let url = token_url(realm, parameters).ok_or_else(|| {
        SupplyError::Malformed(format!("the registry's realm `{}` is no URL", realm.escape_debug()))
    })?;
    let same = url.authority() == registry.authority();
    let is_its_own = same && url.scheme() == registry.scheme();
    if url.scheme_str() != Some("https") && !is_its_own {
        let message = format!("{} would be told the password unencrypted", shown(&url));
        return Err(SupplyError::Forbidden(message));
    }
    let ask = Ask {
        named_by: if same { NamedBy::Configuration } else { NamedBy::Answer },
        authorization: login.and_then(basic),
        accept: "application/json",
        limit: MOST_TOKEN_BYTES,
        sent: None,
        url,
    };
    let asked = shown(&ask.url);
    let answer = get(transport, ask).await?;
    let read: Option<Token> = serde_json::from_slice(&answer.body).ok();
    read.and_then(|read| read.token.or(read.access_token))
        .ok_or_else(|| SupplyError::Malformed(format!("{asked} gives no token")))
}

fn token_url(realm: &str, parameters: &Parameters<'_>) -> Option<Uri> {
    let mut url = realm.to_owned();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&escape(value));
    }
    let url: Uri = url.parse().ok()?;
    url.host().is_some().then_some(url)
}

/// For a query.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn basic(login: &RegistryLogin) -> Option<HeaderValue> {
    secret(format!("Basic {}", STANDARD.encode(format!("{}:{}", login.name, login.password))))
}

fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_with_everything_escaped() {
        let (service, scope) = (Some("r & s".to_owned()), Some("repository:a/b:pull".to_owned()));
        let url = token_url("https://a.example/t?x=1", &[("service", &service), ("scope", &scope)]);
        let expected = "https://a.example/t?x=1&service=r%20%26%20s&scope=repository:a/b:pull";
        assert_eq!(url.unwrap().to_string(), expected);
        assert_eq!(token_url("/token", &[("service", &None), ("scope", &None)]), None);
    }
}
