//! What a configuration looks like, as a JSON schema that the compiler writes into the module.
//!
//! Derived by [`#[configuration]`](macro@crate::configuration); nothing of it is there at run time.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;

/// A schema as pieces of text.
#[derive(Debug)]
pub enum Schema {
    /// Text as it is.
    Text(&'static str),
    /// Pieces behind each other.
    Sequence(&'static [&'static Schema]),
}

/// A type that says what its JSON looks like.
pub trait Described {
    /// The schema: one JSON object.
    const SCHEMA: &'static Schema;
}

macro_rules! described {
    ($schema:literal: $($described:ty),+) => {
        $(impl Described for $described { const SCHEMA: &'static Schema = &Schema::Text($schema); })+
    };
}

described!(r#"{"type":"string"}"#: String, Rc<str>, Box<str>);
described!(r#"{"type":"string","minLength":1,"maxLength":1}"#: char);
described!(r#"{"type":"boolean"}"#: bool);
described!(r#"{"type":"number"}"#: f32, f64);
described!(r#"{"type":"integer","minimum":0,"maximum":255}"#: u8);
described!(r#"{"type":"integer","minimum":0,"maximum":65535}"#: u16);
described!(r#"{"type":"integer","minimum":0,"maximum":4294967295}"#: u32, usize);
described!(r#"{"type":"integer","minimum":0}"#: u64);
described!(r#"{"type":"integer"}"#: i8, i16, i32, i64, isize);
described!(r#"{}"#: serde_json::Value);
described!(r#"{"type":"object","additionalProperties":false}"#: crate::NoConfiguration);

macro_rules! nested {
    ($before:literal, $after:literal: $($described:ty),+) => {
        $(impl<T: Described> Described for $described {
            const SCHEMA: &'static Schema =
                &Schema::Sequence(&[&Schema::Text($before), T::SCHEMA, &Schema::Text($after)]);
        })+
    };
}

nested!(r#"{"type":"array","items":"#, "}": Vec<T>, std::collections::BTreeSet<T>, std::collections::HashSet<T>);
nested!(r#"{"anyOf":["#, r#",{"type":"null"}]}"#: Option<T>);
nested!("", "": Box<T>);
nested!(r#"{"type":"object","additionalProperties":"#, "}": BTreeMap<String, T>, HashMap<String, T>);

/// Asks a type for its schema, if it has one.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<T>);

impl<T: Described> Probe<T> {
    /// The type's own schema.
    pub const SCHEMA: &'static Schema = T::SCHEMA;
}

/// What [`Probe`] finds where there is none.
pub trait Undescribed {
    /// No schema.
    const SCHEMA: &'static Schema = &Schema::Text("");
}

impl<T> Undescribed for Probe<T> {}

/// The text's length in bytes.
pub const fn length(schema: &Schema) -> usize {
    match schema {
        Schema::Text(text) => text.len(),
        Schema::Sequence(pieces) => {
            let (mut total, mut rest) = (0, *pieces);
            while let [first, others @ ..] = rest {
                total += length(first);
                rest = others;
            }
            total
        }
    }
}

/// The text, by the compiler; `LENGTH` is what [`length`] says.
pub const fn write<const LENGTH: usize>(schema: &Schema) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    write_into(&mut text, schema);
    text
}

/// Writes to the front; what is behind it is returned.
const fn write_into<'a>(into: &'a mut [u8], schema: &Schema) -> &'a mut [u8] {
    let mut rest = into;
    match schema {
        Schema::Text(text) => {
            let mut bytes = text.as_bytes();
            while let [byte, bytes_after @ ..] = bytes {
                let Some((place, places_after)) = rest.split_first_mut() else { return &mut [] };
                *place = *byte;
                (rest, bytes) = (places_after, bytes_after);
            }
        }
        Schema::Sequence(pieces) => {
            let mut pieces = *pieces;
            while let [first, pieces_after @ ..] = pieces {
                (rest, pieces) = (write_into(rest, first), pieces_after);
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests;
