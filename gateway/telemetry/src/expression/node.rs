//! A compiled part of an expression: names are settled, patterns compiled.

use super::pattern::Pattern;
use super::value::{Operator, Value};

/// A compiled part.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Value(Value),
    Attribute(Path),
    /// Whether an attribute has a value.
    Has(Path),
    Not(Box<Node>),
    Minus(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Combine(Operator, Box<[Node; 2]>),
    OneOf(Box<Node>, Vec<Node>),
    Search(Search, Box<[Node; 2]>),
    Matches(Box<Node>, Pattern),
    Size(Box<Node>),
    ToInt(Box<Node>),
    ToText(Box<Node>),
}

impl Node {
    /// What its patterns take, in bytes.
    pub(crate) fn pattern_bytes(&self) -> usize {
        let of = |nodes: &[Node]| nodes.iter().map(Node::pattern_bytes).sum();
        match self {
            Node::Value(_) | Node::Attribute(_) | Node::Has(_) => 0,
            Node::Not(node)
            | Node::Minus(node)
            | Node::Size(node)
            | Node::ToInt(node)
            | Node::ToText(node) => node.pattern_bytes(),
            Node::And(nodes)
            | Node::Or(nodes)
            | Node::Compare(_, nodes)
            | Node::Combine(_, nodes)
            | Node::Search(_, nodes) => of(&nodes[..]),
            Node::If(nodes) => of(&nodes[..]),
            Node::OneOf(node, nodes) => node.pattern_bytes() + of(nodes),
            Node::Matches(node, pattern) => node.pattern_bytes() + pattern.bytes(),
        }
    }
}

/// An attribute's name, by its parts.
pub(crate) type Path = Box<[Box<str>]>;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Where one text is looked for in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Start,
    End,
    Anywhere,
}
