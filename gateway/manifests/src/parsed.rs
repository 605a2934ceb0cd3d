//! Documents to nodes, each by itself.

use portcullis_model::ObjectId;

use crate::documents::guess_identity;
use crate::json::parse_json;
use crate::yaml::{Node, ParseError, Value, parse};

/// What one document holds. Places count from its own first line.
#[derive(Debug)]
pub(crate) struct ParsedDocument {
    /// One node, or the items of a `List`.
    pub(crate) nodes: Vec<Node>,
    /// Why there are none.
    pub(crate) failure: Option<Failure>,
}

/// Why a document did not parse, and who it probably is.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ParseError,
    pub(crate) guess: Option<ObjectId>,
}

impl ParsedDocument {
    /// Parses one. It wants a deep stack ([`deep_thread`](crate::yaml::deep_thread)).
    pub(crate) fn parse(text: &str) -> Self {
        let mut document = ParsedDocument { nodes: Vec::new(), failure: None };
        match parse_json(text).map_or_else(|| parse(text), |node| Ok(Some(node))) {
            Ok(node) => node.into_iter().for_each(|node| document.push(node)),
            Err(error) => document.failure = Some(Failure { error, guess: guess_identity(text) }),
        }
        document
    }

    /// Takes in one object, or every item of a `List`.
    fn push(&mut self, node: Node) {
        let is = |name, wanted| node.field(name).and_then(Node::text) == Some(wanted);
        if !is("apiVersion", "v1") || !is("kind", "List") {
            self.nodes.push(node);
            return;
        }
        let Value::Map(entries) = node.value else { return };
        let items = entries.into_iter().find(|(key, _)| &*key.text == "items");
        if let Some((_, Node { value: Value::List(items), .. })) = items {
            items.into_iter().for_each(|item| self.push(item));
        }
    }
}
