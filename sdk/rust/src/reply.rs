//! A reply that the filter gives itself.

use std::borrow::Cow;

use crate::HostError;
use crate::host;
use crate::packed::Packed;

/// A local reply: status, headers, body.
///
/// ```
/// use portcullis_sdk::Reply;
///
/// let reply = Reply::new(403).header("x-reason", "not today").body("Not today.\n");
/// assert_eq!(reply.status(), 403);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    details: Cow<'static, str>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Reply {
    /// An empty reply with a status.
    pub fn new(status: u16) -> Self {
        Reply { status, details: Cow::Borrowed(""), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the response-code details for the access log: a word, such as `jwt_expired`.
    pub fn details(mut self, details: impl Into<Cow<'static, str>>) -> Self {
        self.details = details.into();
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers added so far.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body.
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn send(&self) -> Result<(), HostError> {
        let headers: Vec<_> =
            self.headers().map(|(name, value)| (name.as_bytes(), value)).collect();
        let headers = if headers.is_empty() { Vec::new() } else { Packed::pack(&headers) };
        host::send_reply(u32::from(self.status), &self.details, &self.body, &headers)
    }
}
