//! Header maps as attributes: one field by name, or all of them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::attribute_value::AttributeValue;
use crate::head::{RequestHead, ResponseHead};

/// Fields with their pseudo-headers.
pub(crate) trait Fields {
    /// The value of a pseudo-header, whose name begins with a colon.
    fn pseudo(&self, name: &str) -> Option<Bytes>;
    /// The pseudo-headers that there are, in order.
    fn pseudo_names(&self) -> &'static [&'static str];
    /// The other fields.
    fn headers(&self) -> &HeaderMap;
}

/// All fields for an empty path, one for a path of one name, nothing for a longer one.
pub(crate) fn read_fields(fields: &impl Fields, path: &[&str]) -> Option<AttributeValue> {
    match path {
        [] => Some(AttributeValue::Map(all_fields(fields))),
        [name] if name.starts_with(':') => fields.pseudo(name).map(AttributeValue::Bytes),
        [name] => joined(fields.headers(), name).map(AttributeValue::Bytes),
        _ => None,
    }
}

/// What fields weigh: names and values.
pub(crate) fn header_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

fn all_fields(fields: &impl Fields) -> Vec<(Bytes, Bytes)> {
    let pseudo = fields.pseudo_names().iter();
    let pseudo =
        pseudo.filter_map(|name| Some((Bytes::from_static(name.as_bytes()), fields.pseudo(name)?)));
    let plain = fields.headers().iter();
    let plain = plain.map(|(name, value)| (copy(name.as_str().as_bytes()), copy(value.as_bytes())));
    pseudo.chain(plain).collect()
}

/// A field's values; several are joined by commas, as in Envoy.
fn joined(headers: &HeaderMap, name: &str) -> Option<Bytes> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(copy(first)) };
    let mut all = first.to_vec();
    for value in std::iter::once(second).chain(values) {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(all.into())
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A request's fields.
pub(crate) struct RequestFields<'a>(pub(crate) &'a RequestHead);

impl Fields for RequestFields<'_> {
    fn pseudo(&self, name: &str) -> Option<Bytes> {
        let head = self.0;
        Some(copy(match name {
            ":method" => head.method.as_str().as_bytes(),
            ":scheme" => head.scheme.as_bytes(),
            ":authority" => head.authority.as_bytes(),
            ":path" => head.path.as_str().as_bytes(),
            _ => return None,
        }))
    }

    fn pseudo_names(&self) -> &'static [&'static str] {
        &[":method", ":scheme", ":authority", ":path"]
    }

    fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// A reply's fields.
pub(crate) struct ResponseFields<'a>(pub(crate) &'a ResponseHead);

impl Fields for ResponseFields<'_> {
    fn pseudo(&self, name: &str) -> Option<Bytes> {
        (name == ":status").then(|| copy(self.0.status.as_str().as_bytes()))
    }

    fn pseudo_names(&self) -> &'static [&'static str] {
        &[":status"]
    }

    fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// Trailers have no pseudo-headers.
impl Fields for HeaderMap {
    fn pseudo(&self, _name: &str) -> Option<Bytes> {
        None
    }

    fn pseudo_names(&self) -> &'static [&'static str] {
        &[]
    }

    fn headers(&self) -> &HeaderMap {
        self
    }
}
