//! A compiled part of an expression: names are settled, patterns compiled.

use regex::bytes::Regex;

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
    Matches(Box<Node>, Regex),
    Size(Box<Node>),
    ToInt(Box<Node>),
    ToText(Box<Node>),
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
