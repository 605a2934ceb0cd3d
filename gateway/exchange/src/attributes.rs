//! Named attributes of an exchange, as Proxy-Wasm's `get_property` and policy conditions name them
//! (`request.path`, `source.address`, …).

use bytes::Bytes;

use crate::Exchange;

/// An attribute's value in its own type; who asks encodes it.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// Text or bytes.
    Bytes(Bytes),
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A moment, in nanoseconds since 1970.
    Timestamp(i64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// Names and values.
    Map(Vec<(Bytes, Bytes)>),
}

/// The attribute at a path such as `["request", "headers", "user-agent"]`; `None` where it is unknown or
/// has no value yet.
pub fn attribute(_exchange: &Exchange, _path: &[&str]) -> Option<AttributeValue> {
    None
}
