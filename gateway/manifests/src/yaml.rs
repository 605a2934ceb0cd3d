//! YAML and JSON text to a tree of nodes that know their line and column. The only file that knows the
//! YAML library.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Its place.
    pub(crate) place: Place,
}

/// A line and column, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line.
    pub(crate) line: u32,
    /// The column.
    pub(crate) column: u32,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; keys may repeat.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// The key.
    pub(crate) text: Box<str>,
    /// Its place.
    pub(crate) place: Place,
}

/// Why a text could not be parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParseError {
    /// What is wrong.
    pub(crate) message: String,
    /// Where, relative to the text.
    pub(crate) place: Place,
    /// Whether the text asks for more than the budget allows, rather than being malformed.
    pub(crate) over_budget: bool,
}

/// Parses a text of one document. `Ok(None)` where it holds nothing.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, ParseError> {
    let parsed = serde_saphyr::from_multiple_with_options::<Node>(text, options());
    match parsed {
        Ok(documents) => Ok(documents.into_iter().next()),
        Err(error) => Err(parse_error(&error)),
    }
}

/// A thread whose stack the deepest text allowed cannot exhaust: the library recurses, with frames that are
/// large in unoptimised builds.
pub(crate) fn deep_thread() -> std::thread::Builder {
    std::thread::Builder::new().name("manifests".into()).stack_size(32 << 20)
}

/// Generous for configuration, deadly for bombs. Depth is bounded because everything that walks a tree
/// recurses.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_depth: 64,
            max_total_scalar_bytes: 256 << 20,
            max_recorded_anchor_events: 100_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    }
}

fn parse_error(error: &serde_saphyr::Error) -> ParseError {
    let error = error.without_snippet();
    let place = error.location().map_or(Place { line: 1, column: 1 }, place_of);
    // The library's text may span lines and repeat the place, which the problem shows itself.
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let message = text.split(" at line ").next().unwrap_or_default().trim().to_owned();
    let over_budget = ["budget", "limit", "nesting"].iter().any(|word| message.contains(word));
    ParseError { message, place, over_budget }
}

fn place_of(location: serde_saphyr::Location) -> Place {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Place { line: narrow(location.line()), column: narrow(location.column()) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { value: spanned.value, place: place_of(spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Box<str>>::deserialize(deserializer)?;
        Ok(Key { text: spanned.value, place: place_of(spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

impl Node {
    /// The value of a key, the first where it repeats; `null` counts as absent.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        let (_, node) = entries.iter().find(|(key, _)| *key.text == *name)?;
        (node.value != Value::Null).then_some(node)
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `{}`.
    pub(crate) fn is_empty_mapping(&self) -> bool {
        matches!(&self.value, Value::Map(entries) if entries.is_empty())
    }
}

impl Value {
    /// What kind of value it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_and_key_knows_its_place() {
        let node = parse("a:\n  - 1\n  - b: yes\n    c: \"2\"\n").unwrap().unwrap();
        let list = node.field("a").unwrap();
        let Value::List(items) = &list.value else { panic!("{list:?}") };
        assert_eq!(items[0].value, Value::Integer(1));
        assert_eq!(items[0].place, Place { line: 2, column: 5 });
        let Value::Map(entries) = &items[1].value else { panic!("{items:?}") };
        assert_eq!(entries[1].0.place, Place { line: 4, column: 5 });
        assert_eq!(entries[1].1.place, Place { line: 4, column: 8 });
        assert_eq!(entries[1].1.text(), Some("2"));
        assert_eq!(entries[0].1.value, Value::Bool(true));
    }

    #[test]
    fn json_is_read_alike() {
        let node = parse("{\n \"a\": [true, null, 1.5, {}]\n}").unwrap().unwrap();
        let Value::List(items) = &node.field("a").unwrap().value else { panic!() };
        assert_eq!(items[1].value, Value::Null);
        assert_eq!(items[2].value, Value::Float(1.5));
        assert_eq!(items[3].place, Place { line: 2, column: 25 });
    }

    #[test]
    fn a_syntax_error_says_where() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(!error.over_budget, "{error:?}");
        assert!(error.place.line >= 2, "{error:?}");
    }

    #[test]
    fn bombs_are_over_budget() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let item = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        }
        let error = parse(&bomb).unwrap_err();
        assert!(error.over_budget, "{error:?}");
        for (open, close) in [("- ", "x"), ("[", "]"), ("{a: ", "}")] {
            for levels in [70, 10_000] {
                let text = open.repeat(levels) + &close.repeat(levels);
                let parse_deep = deep_thread().spawn(move || parse(&text).err());
                let error = parse_deep.unwrap().join().unwrap();
                assert!(error.as_ref().is_some_and(|error| error.over_budget), "{open} {error:?}");
            }
        }
    }

    #[test]
    fn merged_mappings_are_merged() {
        let node = parse("base: &b {x: 1, y: 2}\nover:\n  <<: *b\n  y: 3\n").unwrap().unwrap();
        let over = node.field("over").unwrap();
        assert_eq!(over.field("x").unwrap().value, Value::Integer(1));
        assert_eq!(over.field("y").unwrap().value, Value::Integer(3));
    }
}
