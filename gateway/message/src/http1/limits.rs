//! How large a head may be.

/// Bounds on a message head; trailers keep to them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head.
    pub head: usize,
    /// Bytes of the request line or the status line.
    pub line: usize,
    /// Bytes of one field, its name and value.
    pub field: usize,
    /// Number of fields; not above [`Limits::MOST_FIELDS`].
    pub fields: usize,
}

impl Limits {
    /// What the reader has room for.
    pub const MOST_FIELDS: usize = 100;

    /// For what clients send: 64 KiB, a line and a field of 16 KiB, 100 fields.
    pub const REQUEST: Limits =
        Limits { head: 64 << 10, line: 16 << 10, field: 16 << 10, fields: Self::MOST_FIELDS };

    /// For what upstreams send: 32 KiB, 100 fields.
    pub const REPLY: Limits =
        Limits { head: 32 << 10, line: 16 << 10, field: 32 << 10, fields: Self::MOST_FIELDS };
}
