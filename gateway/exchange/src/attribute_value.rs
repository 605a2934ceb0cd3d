//! The types that an attribute's value may have.

use bytes::Bytes;

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
