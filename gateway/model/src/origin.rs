//! Where a piece of configuration comes from.

use std::fmt;
use std::sync::Arc;

/// A configuration object's identity. Written `Kind/namespace/name`, whatever its group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// `VirtualService`, `Gateway`, …
    pub kind: Arc<str>,
    /// The API group, where another group has a kind of that name too and came first: Gateway API's `Gateway` beside
    /// Istio's. Empty everywhere else.
    pub group: &'static str,
    /// `metadata.namespace`, `default` where none is written.
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
}

impl ObjectId {
    /// An identity of its three parts.
    pub fn new(
        kind: impl Into<Arc<str>>,
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
    ) -> Self {
        ObjectId { kind: kind.into(), group: "", namespace: namespace.into(), name: name.into() }
    }

    /// The same identity in another API group, see [`group`](Self::group).
    #[must_use]
    pub fn in_group(self, group: &'static str) -> Self {
        ObjectId { group, ..self }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The place in a file where something was written. Lines and columns count from 1.
///
/// Two origins are always equal: moving a rule to another line changes nothing that is served, so it must
/// not make a compiled part look different.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Origin {
    /// An origin for tests.
    pub fn for_test() -> Self {
        Origin { file: "test.yaml".into(), line: 1, column: 1 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
