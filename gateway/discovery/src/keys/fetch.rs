//! One fetch: the key set itself, or first the document in which its issuer says where it is.

use std::time::Duration;

use portcullis_filters::{KeyUrl, NumberedKeys, RemoteLocation};
use portcullis_supply::{DocumentSource, FreshDocument, SupplyError};
use serde::Deserialize;

/// A larger set is not read.
const MOST_BYTES: usize = 1 << 20;
/// Nor a larger document about an issuer.
const MOST_DOCUMENT_BYTES: usize = 256 << 10;

/// What an issuer says of itself, as far as it matters (OpenID Connect Discovery 1.0 section 3).
#[derive(Deserialize)]
struct Issuer {
    issuer: String,
    jwks_uri: String,
}

/// The key set of a place, as it came.
pub(super) async fn fetch(
    source: &DocumentSource,
    location: &RemoteLocation,
) -> Result<FreshDocument, SupplyError> {
    let patience = location.timeout;
    match &location.url {
        KeyUrl::Keys(url) => source.get(url, MOST_BYTES, patience).await,
        KeyUrl::Discovery { document, issuer } => {
            let url = discover(source, document, issuer, patience).await?;
            source.get(&url, MOST_BYTES, patience).await
        }
    }
}

/// The keys of a set; one without any that verifies is an error, as nobody means to refuse every token by it.
pub(super) fn read(body: &[u8], url: &str) -> Result<NumberedKeys, SupplyError> {
    let malformed = |why: String| SupplyError::Malformed(format!("{url}: {why}"));
    let keys = NumberedKeys::parse(body).map_err(|error| malformed(error.to_string()))?;
    if keys.set().is_empty() {
        return Err(malformed("no key of the set verifies tokens".to_owned()));
    }
    Ok(keys)
}

async fn discover(
    source: &DocumentSource,
    document: &str,
    issuer: &str,
    patience: Duration,
) -> Result<String, SupplyError> {
    let answer = source.get(document, MOST_DOCUMENT_BYTES, patience).await?;
    let malformed = |why: String| SupplyError::Malformed(format!("{document}: {why}"));
    let said: Issuer =
        serde_json::from_slice(&answer.body).map_err(|error| malformed(error.to_string()))?;
    // Or another issuer's keys would stand for this one's (section 4.3).
    if said.issuer != issuer {
        return Err(malformed("it is the document of another issuer".to_owned()));
    }
    if document.starts_with("https://") && !said.jwks_uri.starts_with("https://") {
        return Err(malformed("its jwks_uri is no https URL".to_owned()));
    }
    Ok(said.jwks_uri)
}
