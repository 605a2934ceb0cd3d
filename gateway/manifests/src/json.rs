//! JSON to nodes. Every JSON document is YAML too, so this is nothing but the short way for what machines
//! write: whatever is not plain JSON is left to the YAML parser.

use crate::yaml::{Key, Node, Place, Value};

/// As deep as YAML may nest.
const MOST_LEVELS: usize = 64;

/// Parses a document that is one JSON object; `None` where it is something else, or JSON of an unusual
/// sort, that the YAML parser has to judge.
pub(crate) fn parse_json(text: &str) -> Option<Node> {
    let marked = text.strip_prefix("---").filter(|rest| rest.starts_with([' ', '\t', '\r', '\n']));
    let body = marked.unwrap_or(text);
    // Columns count characters, so they are bytes only where every character is one.
    if !body.trim_ascii_start().starts_with('{') || !text.is_ascii() {
        return None;
    }
    let marker = text.len() - body.len();
    let mut reader = Reader { text, at: marker, line: 1, line_start: 0, levels: 0 };
    reader.skip_space();
    let node = reader.node()?;
    reader.skip_space();
    (reader.at == text.len()).then_some(node)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    line_start: usize,
    levels: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\n' | b'\r' | b'\t')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn place(&self) -> Place {
        let column = u32::try_from(self.at - self.line_start).unwrap_or(u32::MAX - 1) + 1;
        Place { line: self.line, column }
    }

    fn node(&mut self) -> Option<Node> {
        let place = self.place();
        let value = match self.peek()? {
            b'{' => self.nested(Self::map)?,
            b'[' => self.nested(Self::list)?,
            b'"' => Value::Text(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.word()?,
        };
        Some(Node { value, place })
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.levels += 1;
        self.at += 1;
        let value = if self.levels <= MOST_LEVELS { read(self) } else { None };
        self.levels -= 1;
        value
    }

    fn map(&mut self) -> Option<Value> {
        let mut entries = Vec::new();
        self.members(b'}', |reader| {
            let place = reader.place();
            let text = reader.string()?;
            reader.skip_space();
            reader.take(b':')?;
            reader.skip_space();
            // YAML gives this key a meaning of its own.
            (*text != *"<<").then_some(())?;
            entries.push((Key { text, place }, reader.node()?));
            Some(())
        })?;
        Some(Value::Map(entries))
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        self.members(b']', |reader| {
            items.push(reader.node()?);
            Some(())
        })?;
        Some(Value::List(items))
    }

    /// What stands between brackets, with commas between.
    fn members(
        &mut self,
        close: u8,
        mut member: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.skip_space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            self.skip_space();
            member(self)?;
            self.skip_space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<Box<str>> {
        self.take(b'"')?;
        let rest = self.text.get(self.at..)?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ' | 0x7f))?;
        if rest.as_bytes().get(end) == Some(&b'"') {
            self.at += end + 1;
            return rest.get(..end).map(Into::into);
        }
        self.escaped_string().map(Into::into)
    }

    /// A string with escapes, from its first byte on.
    fn escaped_string(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(text),
                b'\\' => text.push(self.escape()?),
                ..b' ' | 0x7f => return None,
                _ => text.push(char::from(byte)),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                // Halves of a pair are left to the YAML parser.
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let end = rest.bytes().position(|byte| !matches!(byte, b'-' | b'.' | b'0'..=b'9'));
        let written = rest.get(..end?)?;
        self.at += written.len();
        let digits = written.strip_prefix('-').unwrap_or(written);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_plain = is_digits(whole) && is_digits(fraction);
        if !is_plain || whole.len() > 1 && whole.starts_with('0') || whole.len() > 15 {
            return None;
        }
        if digits.contains('.') || written == "-0" {
            return written.parse().ok().map(Value::Float).filter(|_| written != "-0");
        }
        written.parse().ok().map(Value::Integer)
    }

    fn word(&mut self) -> Option<Value> {
        let words =
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        let rest = self.text.get(self.at..)?;
        let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
        self.at += word.len();
        // A longer word is text.
        let ends = matches!(self.peek(), Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'));
        ends.then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::yaml::parse;

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        let yaml = parse(text).unwrap().unwrap();
        prop_assert_eq!(parse_json(text), Some(yaml), "{}", text);
        Ok(())
    }

    #[test]
    fn it_reads_what_the_yaml_parser_reads() {
        for text in [
            "{}",
            " \n\t{ \"a\" : [ ] , \"b\": {\"c\": null} }\r\n",
            "---\n{\"a\": [1, -2, 0, 1.5, -0.25, true, false], \"a\": \"x\"}\n",
            "--- {\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\",\n\n  \"b\":[\n[1]]}",
            "{\"a\": \"# no comment: - ? & * !\"}",
        ] {
            agrees(text).unwrap();
        }
    }

    #[test]
    fn what_is_not_plain_json_is_left_alone() {
        for text in [
            "",
            "{",
            "[1]",
            "{a: 1}",
            "{\"a\": 1} # x",
            "{\"a\": 1,}",
            "{\"a\": 'x'}",
            "{\"a\": 01}",
            "{\"a\": 1e3}",
            "{\"a\": -}",
            "{\"a\": -0}",
            "{\"a\": 12345678901234567890}",
            "{\"a\": nullx}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": \"\\x41\"}",
            "{\"a\": \"x\ny\"}",
            "{\"a\": \"é\"}",
            "{\"<<\": {}}",
            "{\"a\": 1} {\"b\": 2}",
            "%YAML 1.2\n---\n{}",
            "---{}",
            "{\"a\"}",
            "{\"a\": 1.}",
            "{\"a\": .5}",
        ] {
            assert_eq!(parse_json(text), None, "{text}");
        }
        let deep = "{\"a\":".repeat(65) + "1" + &"}".repeat(65);
        assert_eq!(parse_json(&deep), None);
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            (-1000i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
            "[ -~\\n\\t]{0,12}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::vec(("[a-zA-Z./_-]{1,8}", inner), 0..5)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn generated_objects_are_read_as_the_yaml_parser_reads_them(value in values()) {
            let object = json!({"value": value});
            agrees(&object.to_string())?;
            agrees(&serde_json::to_string_pretty(&object).unwrap())?;
        }
    }
}
