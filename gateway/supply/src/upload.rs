//! Sending to an OCI registry, as its distribution specification has it: blobs that are not there yet, then manifests.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Method, Uri};
use serde::Deserialize;

use crate::SupplyError;
use crate::origin::NamedBy;
use crate::registry::{Repository, digest_of};
use crate::transport::{Answer, Ask, Sent, shown};
use crate::web::{challenges_of, is_redirect, resolve};

/// What a registry says of its reasons.
const MOST_REPLY_BYTES: usize = 64 << 10;
/// So many letters of that are shown.
const MOST_SHOWN: usize = 300;

/// Whether something had to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It was there.
    Spared,
    /// It was sent.
    Done,
}

impl Repository<'_> {
    /// Sends a blob that is not there yet.
    pub(crate) async fn send_blob(&mut self, bytes: Bytes) -> Result<Sending, SupplyError> {
        let digest = digest_of(&bytes);
        if self.has_blob(&digest).await? {
            return Ok(Sending::Spared);
        }
        let begin = self.url("blobs/uploads/")?;
        let answer = self.send(begin.clone(), sent(Method::POST, "", Bytes::new())).await?;
        accepted(&answer, &begin)?;
        let place = place_of(&answer, &begin, &digest)?;
        let body = sent(Method::PUT, "application/octet-stream", bytes);
        let answer = self.send(place.clone(), body).await?;
        accepted(&answer, &place)?;
        Ok(Sending::Done)
    }

    /// Sends a manifest or index under a tag or digest. The answer says what the registry makes of its `subject`.
    pub(crate) async fn send_manifest(
        &mut self,
        version: &str,
        kind: &'static str,
        text: Bytes,
    ) -> Result<Answer, SupplyError> {
        let url = self.url(&format!("manifests/{version}"))?;
        let digest = digest_of(&text);
        let answer = self.send(url.clone(), sent(Method::PUT, kind, text)).await?;
        accepted(&answer, &url)?;
        let named = answer.headers.get("docker-content-digest");
        match named.and_then(|named| named.to_str().ok()) {
            Some(named) if named.starts_with("sha256:") && named != digest => {
                Err(SupplyError::Digest {
                    what: format!("what {} keeps of the manifest", shown(&url)),
                    wanted: digest,
                    found: named.to_owned(),
                })
            }
            _ => Ok(answer),
        }
    }

    async fn has_blob(&mut self, digest: &str) -> Result<bool, SupplyError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let answer = self.send(url.clone(), sent(Method::HEAD, "", Bytes::new())).await?;
        match answer.status.as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            // To where it is kept.
            _ if is_redirect(answer.status) => Ok(true),
            _ => Err(rejected(&answer, &url)),
        }
    }

    /// Sends once, and again where the registry wants to know first who sends.
    async fn send(&mut self, url: Uri, sent: Sent) -> Result<Answer, SupplyError> {
        let is_own = url.authority() == self.url("")?.authority();
        let mut ask = Ask {
            accept: "application/json, */*",
            authorization: None,
            limit: MOST_REPLY_BYTES,
            named_by: if is_own { NamedBy::Configuration } else { NamedBy::Answer },
            sent: Some(sent),
            url,
        };
        let first = self.ask(ask.clone()).await?;
        if first.status.as_u16() != 401 || !is_own {
            return Ok(first);
        }
        ask.authorization =
            self.authorize(&ask.url, challenges_of(&first), shown(&ask.url)).await?;
        self.ask(ask).await
    }
}

fn sent(method: Method, content_type: &'static str, body: Bytes) -> Sent {
    Sent { method, content_type, body }
}

/// Where the registry wants a blob: on the same scheme, with the digest in its query.
fn place_of(answer: &Answer, begin: &Uri, digest: &str) -> Result<Uri, SupplyError> {
    let target = answer.headers.get(LOCATION).and_then(|target| target.to_str().ok());
    let nowhere = || SupplyError::Malformed(format!("{} says no place to send to", shown(begin)));
    let place = target.and_then(|target| resolve(begin, target)).ok_or_else(nowhere)?;
    if place.scheme() != begin.scheme() {
        return Err(SupplyError::Forbidden(format!(
            "{} wants blobs sent to {}: another scheme; the registry does not know that it is behind a TLS proxy",
            shown(begin),
            shown(&place)
        )));
    }
    let joint = if place.query().is_some() { '&' } else { '?' };
    format!("{place}{joint}digest={digest}").parse().map_err(|_| nowhere())
}

fn accepted(answer: &Answer, url: &Uri) -> Result<(), SupplyError> {
    if matches!(answer.status.as_u16(), 200..=204) { Ok(()) } else { Err(rejected(answer, url)) }
}

fn rejected(answer: &Answer, url: &Uri) -> SupplyError {
    let asked = shown(url);
    match answer.status.as_u16() {
        401 => SupplyError::Unauthorized { asked, challenges: challenges_of(answer) },
        status => SupplyError::Rejected { asked, status, said: reason_in(&answer.body) },
    }
}

/// The first error in a registry's answer, on one line.
fn reason_in(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Reply {
        errors: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let reply: Option<Reply> = serde_json::from_slice(body).ok();
    let first = reply.and_then(|reply| reply.errors.into_iter().next());
    let said = first.map_or_else(String::new, |first| format!("{} {}", first.code, first.message));
    let shown: String = said.trim().chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect();
    if shown.is_empty() { "it gives no reason".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn answer(location: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        Answer { status: StatusCode::ACCEPTED, headers, body: Vec::new() }
    }

    #[test]
    fn the_place_of_a_blob_keeps_its_query_and_its_scheme() {
        let begin: Uri = "https://r.example/v2/a/blobs/uploads/".parse().unwrap();
        let place = |location: &str| place_of(&answer(location), &begin, "sha256:1");
        let known = |location: &str| place(location).unwrap().to_string();
        assert_eq!(known("/u/7?state=x"), "https://r.example/u/7?state=x&digest=sha256:1");
        assert_eq!(known("https://b.example/u"), "https://b.example/u?digest=sha256:1");
        assert!(matches!(place("http://r.example/u"), Err(SupplyError::Forbidden(_))));
        assert!(matches!(place("u"), Err(SupplyError::Malformed(_))));
    }

    #[test]
    fn a_registrys_reason_is_told_on_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\nquota","detail":{}}]}"#;
        assert_eq!(reason_in(body), r"DENIED no\nquota");
        assert_eq!(reason_in(b"<html>"), "it gives no reason");
        assert_eq!(reason_in(b"{\"errors\":[]}"), "it gives no reason");
    }
}
