//! An object as it was written: its identity, and all its fields as nodes.

use portcullis_model::ObjectId;

use crate::documents::telling_group;
use crate::names::Names;
use crate::yaml::Node;

/// An object as it was written. It is gone once the object is read.
#[derive(Clone, Debug)]
pub(crate) struct RawObject {
    /// The API group, empty for the core group.
    pub(crate) group: Box<str>,
    /// The version in the group.
    pub(crate) version: Box<str>,
    /// The identity; without a `metadata.name` the name is made of the line.
    pub(crate) id: ObjectId,
    /// Whether `metadata.name` is written.
    pub(crate) is_named: bool,
    /// The whole object. Its places count from the first line of its document.
    pub(crate) node: Node,
    /// How many lines of the file stand before its document.
    pub(crate) lines_before: u32,
    /// The how-manieth object of its document this is.
    pub(crate) nth: u32,
}

impl RawObject {
    /// The nth object of the document behind so many lines of its file; the node itself where it is none.
    pub(crate) fn new(
        node: Node,
        (lines_before, nth): (u32, u32),
        names: &mut Names,
    ) -> Result<Self, Node> {
        let text = |name| node.field(name).and_then(Node::text);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return Err(node);
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let (group, version): (Box<str>, Box<str>) = (group.into(), version.into());
        let (id, is_named) = identity((&group, kind), &node, lines_before, names);
        Ok(RawObject { group, version, id, is_named, node, lines_before, nth })
    }
}

/// The identity, and whether a name is written.
fn identity(
    (group, kind): (&str, &str),
    node: &Node,
    lines_before: u32,
    names: &mut Names,
) -> (ObjectId, bool) {
    let metadata = node.field("metadata");
    let text = |name| metadata.and_then(|metadata| metadata.field(name)).and_then(Node::text);
    let namespace = names.shared(text("namespace").unwrap_or("default"));
    let group = telling_group(group, kind);
    let kind = names.shared(kind);
    match text("name") {
        Some(name) => (ObjectId::new(kind, namespace, name).in_group(group), true),
        None => {
            let name = format!("unnamed-in-line-{}", lines_before + node.place.line);
            (ObjectId::new(kind, namespace, name).in_group(group), false)
        }
    }
}
