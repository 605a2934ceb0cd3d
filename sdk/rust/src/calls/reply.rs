//! The answer to a call.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::abi::{BufferKind, MapKind};
use crate::packed::Packed;
use crate::{Error, HostError, host};

/// The answer of another service.
#[derive(Debug)]
pub struct CallReply {
    fields: Packed,
    body: Vec<u8>,
}

/// Reads the answer that the host has now; None when there is none.
pub(super) fn read(fields: u32, body_size: usize) -> Result<Option<CallReply>, HostError> {
    if fields == 0 {
        return Ok(None);
    }
    let fields = Packed(host::header_pairs(MapKind::CallResponseHeaders)?);
    let body = match body_size {
        0 => Vec::new(),
        size => host::buffer(BufferKind::CallResponseBody, 0, size)?,
    };
    Ok(Some(CallReply { fields, body }))
}

impl CallReply {
    /// The status; 0 where the host gives no number.
    pub fn status(&self) -> u16 {
        self.header_text(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// The first value of a header as text; None when it is not UTF-8.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// All headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, without the rest.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}
