//! Small documents from the network that are no modules: key sets, and where they are.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, HeaderMap};
use http::{StatusCode, Uri};
use tokio::time::timeout;

use crate::SupplyError;
use crate::origin::NamedBy;
use crate::transport::{Ask, Transport, shown};

/// Fetches documents from where that is allowed. Redirects are not followed.
pub struct DocumentSource {
    transport: Transport,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshDocument {
    /// What it says.
    pub body: Vec<u8>,
    /// How long it stays fresh by its server's word (RFC 9111 section 4.2); `None` where that says nothing.
    pub fresh: Option<Duration>,
}

impl DocumentSource {
    /// Servers are verified by these authorities, in PEM; `may` says which addresses may be asked.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        authorities: &[u8],
        may: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Result<Self, SupplyError> {
        let transport = Transport::guarded(authorities, Arc::new(may));
        let transport = transport.map_err(|error| SupplyError::Malformed(error.to_string()))?;
        Ok(DocumentSource { transport })
    }

    /// Fetches a document of at most so many bytes, within that time.
    pub async fn get(
        &self,
        url: &str,
        limit: usize,
        patience: Duration,
    ) -> Result<FreshDocument, SupplyError> {
        let no_url = |_| SupplyError::Malformed(format!("`{url}` is no URL"));
        let url: Uri = url.parse().map_err(no_url)?;
        let ask = Ask {
            url: url.clone(),
            accept: "application/json",
            authorization: None,
            limit,
            named_by: NamedBy::Configuration,
            sent: None,
        };
        let late = |_| SupplyError::Unreachable(format!("{}: no answer in time", shown(&url)));
        let answer = timeout(patience, self.transport.ask(&ask)).await.map_err(late)??;
        if answer.status != StatusCode::OK {
            let is_redirect = answer.status.is_redirection();
            let hint = if is_redirect { ": redirects are not followed" } else { "" };
            let status = answer.status.as_u16();
            return Err(SupplyError::Status { asked: shown(&url), status, hint });
        }
        Ok(FreshDocument { body: answer.body, fresh: freshness(&answer.headers) })
    }
}

fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(str::trim);
    let mut fresh: Option<u64> = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => fresh = value.trim_matches('"').parse().ok().or(fresh),
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse::<u64>().ok());
    Some(Duration::from_secs(fresh?.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_server_says_how_long_a_document_is_fresh() {
        let of = |control: &'static str, age: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, HeaderValue::from_static(control));
            if let Some(age) = age {
                headers.append(AGE, HeaderValue::from_static(age));
            }
            freshness(&headers).map(|fresh| fresh.as_secs())
        };
        assert_eq!(of("public, max-age=300", None), Some(300));
        assert_eq!(of("Max-Age=300", Some("100")), Some(200));
        assert_eq!(of("max-age=300, no-cache", None), Some(0));
        assert_eq!(of("max-age=10", Some("100")), Some(0));
        assert_eq!(of("max-age=x", None), None);
        assert_eq!(of("public", None), None);
        assert_eq!(freshness(&HeaderMap::new()), None);
    }
}
