//! One text, or a list of them: the lines of a header, the pieces of a body.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Read by hand, so that what is neither is told in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// Several, in this order.
    More(Vec<String>),
}

impl OneOrMore {
    /// The texts.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            OneOrMore::One(text) => std::slice::from_ref(text),
            OneOrMore::More(texts) => texts,
        }
    }
}

impl Default for OneOrMore {
    fn default() -> Self {
        OneOrMore::One(String::new())
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = OneOrMore;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts (other values need quotes)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore, E> {
        Ok(OneOrMore::One(text.to_owned()))
    }

    /// Nobody doubts how a whole number is written as text.
    fn visit_u64<E: Error>(self, number: u64) -> Result<OneOrMore, E> {
        Ok(OneOrMore::One(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<OneOrMore, E> {
        Ok(OneOrMore::One(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(OneOrMore::More(texts))
    }
}
