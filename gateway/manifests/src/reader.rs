//! A typed view of a node that knows its field path and collects every problem instead of stopping at the
//! first.

use std::fmt::{self, Write};

use portcullis_model::{Code, ObjectId, Origin};

use crate::codes;
use crate::report::{Gravity, MOST_EXPRESSIONS, Report, Room};
use crate::suggest::closest;
use crate::yaml::{Key, Node, Place, Value};

/// A node of an object, with its path and the report that its problems go to.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'c> {
    node: &'c Node,
    parent: Option<&'c Cursor<'c>>,
    step: Step<'c>,
    report: &'c Report,
}

#[derive(Clone, Copy)]
enum Step<'c> {
    Root,
    Key(&'c str),
    Index(usize),
}

/// The fields that a kind's published schema has at one place.
pub(crate) struct Schema {
    /// What its values are called, as in "a match has no field …".
    pub(crate) what: &'static str,
    /// The fields that are read.
    pub(crate) served: &'static [&'static str],
    /// The fields that are known, but have no effect yet: each is a warning.
    pub(crate) not_yet: &'static [&'static str],
    /// The fields that mean nothing to a gateway: skipped silently.
    pub(crate) skipped: &'static [&'static str],
}

/// The fields of a mapping that was checked against its schema.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'c> {
    cursor: Cursor<'c>,
    entries: &'c [(Key, Node)],
    schema: &'static Schema,
}

impl<'c> Cursor<'c> {
    /// The object itself.
    pub(crate) fn root(node: &'c Node, report: &'c Report) -> Self {
        Cursor { node, parent: None, step: Step::Root, report }
    }

    fn child<'s>(&'s self, step: Step<'s>, node: &'s Node) -> Cursor<'s> {
        Cursor { node, parent: Some(self), step, report: self.report }
    }

    /// A view of a node some fields down, for a part of the object that is otherwise skipped.
    pub(crate) fn within<T>(
        &self,
        steps: &[&str],
        node: &Node,
        then: impl FnOnce(Cursor<'_>) -> T,
    ) -> T {
        match steps {
            [] => then(Cursor { node, ..*self }),
            [first, rest @ ..] => self.child(Step::Key(first), node).within(rest, node, then),
        }
    }

    /// The object that it is part of, where it is known.
    pub(crate) fn object(&self) -> Option<&'c ObjectId> {
        self.report.object()
    }

    /// The node.
    pub(crate) fn node(&self) -> &'c Node {
        self.node
    }

    /// Where it is written.
    pub(crate) fn origin(&self) -> Origin {
        self.origin_of(self.node.place)
    }

    fn origin_of(&self, place: Place) -> Origin {
        self.report.origin(place)
    }

    /// Its path, as `spec.http[0].match[1].uri`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_path(&mut path);
        path
    }

    fn write_path(&self, path: &mut String) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.write_path(path)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(path, "[{index}]"),
            Step::Key(key) if path.is_empty() => path.write_str(key),
            Step::Key(key) if key.contains(['.', '/']) => write!(path, "[{key}]"),
            Step::Key(key) => write!(path, ".{key}"),
        }
    }

    /// Reports a problem here.
    pub(crate) fn report(
        &self,
        gravity: Gravity,
        code: Code,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report.add(gravity, code, self.path(), self.origin(), (message.into(), help.into()));
    }

    /// Whether one more regular expression may be compiled; the first time that it may not is reported here.
    pub(crate) fn has_room_for_expressions(&self) -> bool {
        match self.report.room_for_expressions() {
            Room::Left => return true,
            Room::JustFilled => {
                let most = MOST_EXPRESSIONS >> 20;
                let message = format!(
                    "the expressions of this object take more than the {most} MiB that its whole namespace may have; from here on they are not read"
                );
                let help = "write prefixes or simpler expressions, or fewer of them";
                self.report(Gravity::Breaks, codes::EXPRESSION_BUDGET, message, help);
            }
            Room::Full => {}
        }
        false
    }

    /// Counts a regular expression that stands here; what it takes, in bytes.
    pub(crate) fn count_expression(&self, bytes: usize) {
        self.report.count_expression(bytes, || (self.path(), self.origin()));
    }

    /// Reports a value that the field does not take.
    pub(crate) fn refuse(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report(Gravity::Breaks, codes::BAD_VALUE, message, help);
    }

    /// Reports a value that is known, but not served yet.
    pub(crate) fn not_served(&self, gravity: Gravity, message: impl Into<String>, help: &str) {
        self.report(gravity, codes::VALUE_NOT_SERVED, message, help);
    }

    /// Whether it is `null`, which counts as not written.
    pub(crate) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// Whether it is `{}`.
    pub(crate) fn is_empty_mapping(&self) -> bool {
        self.node.is_empty_mapping()
    }

    /// Whether it is `[]`.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether it is `""`.
    pub(crate) fn is_empty_text(&self) -> bool {
        self.node.text() == Some("")
    }

    /// Whether it is a list of nothing but this text.
    pub(crate) fn is_list_of(&self, text: &str) -> bool {
        match &self.node.value {
            Value::List(items) => items.iter().all(|item| item.text() == Some(text)),
            _ => false,
        }
    }

    /// Reports that the object has no name.
    pub(crate) fn missing_name(&self) {
        let message = "the object has no `metadata.name`";
        let said = (message.to_owned(), "give it a name".to_owned());
        let field = "metadata.name".to_owned();
        self.report.add(Gravity::Breaks, codes::MISSING, field, self.origin(), said);
    }

    fn wrong_type(&self, wanted: &str) {
        let found = self.node.value.kind();
        let help = match (&self.node.value, wanted) {
            (Value::Bool(_) | Value::Integer(_) | Value::Float(_), "a string") => {
                "put it in quotes"
            }
            (Value::Text(_), "a number" | "a boolean") => "write it without quotes",
            (_, "a list") => "begin each item with `- `",
            _ => "",
        };
        let message = format!("this has to be {wanted}, but is {found}");
        self.report(Gravity::Breaks, codes::WRONG_TYPE, message, help);
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&'c str> {
        let text = self.node.text();
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    /// A boolean.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.wrong_type("a boolean");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(&self, least: i64, most: i64) -> Option<i64> {
        let Value::Integer(number) = self.node.value else {
            self.wrong_type("a number");
            return None;
        };
        let within = i64::try_from(number).ok().filter(|number| (least..=most).contains(number));
        if within.is_none() {
            self.refuse(format!("{number} is not from {least} to {most}"), "");
        }
        within
    }

    /// The items of a list.
    pub(crate) fn items<'s>(&'s self) -> impl Iterator<Item = Cursor<'s>> + 's {
        let items: &'s [Node] = match &self.node.value {
            Value::List(items) => items,
            _ => {
                self.wrong_type("a list");
                &[]
            }
        };
        items.iter().enumerate().map(move |(index, node)| self.child(Step::Index(index), node))
    }

    /// The entries of a mapping with free keys.
    pub(crate) fn entries<'s>(&'s self) -> impl Iterator<Item = (&'s str, Cursor<'s>)> + 's {
        let entries: &'s [(Key, Node)] = match &self.node.value {
            Value::Map(entries) => entries,
            _ => {
                self.wrong_type("a mapping");
                &[]
            }
        };
        entries.iter().map(move |(key, node)| (&*key.text, self.child(Step::Key(&key.text), node)))
    }

    /// A mapping of strings to strings.
    pub(crate) fn text_map(&self) -> Vec<(String, String)> {
        let pair =
            |(key, value): (&str, Cursor<'_>)| Some((key.to_owned(), value.text()?.to_owned()));
        self.entries().filter_map(pair).collect()
    }

    /// The fields of a mapping. Fields that the schema does not have are errors, those that are not
    /// served yet are warnings.
    pub(crate) fn fields(&self, schema: &'static Schema) -> Option<Fields<'c>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("a mapping");
            return None;
        };
        let fields = Fields { cursor: *self, entries, schema };
        fields.check();
        Some(fields)
    }
}

impl<'c> Fields<'c> {
    fn check(&self) {
        let schema = self.schema;
        for (key, node) in self.entries {
            let name = &*key.text;
            if schema.served.contains(&name) || schema.skipped.contains(&name) {
                continue;
            }
            let path = self.cursor.child(Step::Key(name), node).path();
            let origin = self.cursor.origin_of(key.place);
            let (gravity, code, said) = if schema.not_yet.contains(&name) {
                if node.value == Value::Null {
                    continue;
                }
                let message = format!("`{name}` is known, but not served yet");
                (Gravity::Warns, codes::FIELD_NOT_SERVED, (message, "it has no effect here".into()))
            } else {
                (Gravity::Breaks, codes::UNKNOWN_FIELD, self.unknown(name))
            };
            self.cursor.report.add(gravity, code, path, origin, said);
        }
    }

    fn unknown(&self, name: &str) -> (String, String) {
        let schema = self.schema;
        let known = schema.served.iter().chain(schema.not_yet).chain(schema.skipped);
        let help = match closest(name, known.clone().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has: {}", known.copied().collect::<Vec<_>>().join(", ")),
        };
        (format!("{} has no field `{name}`", schema.what), help)
    }

    /// The mapping itself.
    pub(crate) fn cursor(&self) -> &Cursor<'c> {
        &self.cursor
    }

    /// The field, where it is written and not null.
    pub(crate) fn field<'s>(&'s self, name: &str) -> Option<Cursor<'s>> {
        let (key, node) = self.entries.iter().find(|(key, _)| *key.text == *name)?;
        (node.value != Value::Null).then(|| self.cursor.child(Step::Key(&key.text), node))
    }

    /// The field; a problem where it is missing.
    pub(crate) fn required<'s>(&'s self, name: &str) -> Option<Cursor<'s>> {
        let found = self.field(name);
        if found.is_none() {
            self.missing(name, "");
        }
        found
    }

    /// Reports a field as missing.
    pub(crate) fn missing(&self, name: &str, help: &str) {
        let message = format!("{} has no `{name}`", self.schema.what);
        let path = match self.cursor.path() {
            path if path.is_empty() => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        let said = (message, help.to_owned());
        let origin = self.cursor.origin();
        self.cursor.report.add(Gravity::Breaks, codes::MISSING, path, origin, said);
    }

    /// The names of these that are written, where they are more than one; a problem is reported.
    pub(crate) fn exclusive(&self, names: &[&str]) -> bool {
        let written: Vec<&str> =
            names.iter().copied().filter(|name| self.field(name).is_some()).collect();
        if written.len() > 1 {
            let message = format!("only one of `{}` can be written", written.join("`, `"));
            self.cursor.report(Gravity::Breaks, codes::EXCLUSIVE, message, "keep one of them");
        }
        written.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    static SCHEMA: Schema = Schema {
        what: "a thing",
        served: &["name", "size", "list"],
        not_yet: &["colour"],
        skipped: &["note"],
    };

    fn problems(text: &str, read: impl Fn(&Fields<'_>)) -> Vec<String> {
        let node = parse(text).unwrap().unwrap();
        let report = Report::new(None, "t".into(), 0);
        read(&Cursor::root(&node, &report).fields(&SCHEMA).unwrap());
        report.into_problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_held_against_the_schema() {
        let found = problems("nmae: a\ncolour: red\nnote: x\n", |fields| {
            fields.required("size");
        });
        assert_eq!(
            found,
            [
                "t:1:1: error[PC0206] nmae: a thing has no field `nmae`; did you mean `name`?",
                "t:2:1: warning[PC0207] colour: `colour` is known, but not served yet; it has no effect here",
                "t:1:1: error[PC0209] size: a thing has no `size`",
            ]
        );
    }

    #[test]
    fn every_wrong_type_is_said_with_its_path() {
        let found = problems("name: 1\nsize: \"2\"\nlist:\n- a\n- {b: 1}\n", |fields| {
            fields.field("name").unwrap().text();
            fields.field("size").unwrap().integer(0, 9);
            let list = fields.field("list").unwrap();
            assert_eq!(list.items().filter_map(|item| item.text().map(str::len)).sum::<usize>(), 1);
        });
        assert_eq!(
            found,
            [
                "t:1:7: error[PC0208] name: this has to be a string, but is a number; put it in quotes",
                "t:2:7: error[PC0208] size: this has to be a number, but is a string; write it without quotes",
                "t:5:3: error[PC0208] list[1]: this has to be a string, but is a mapping",
            ]
        );
    }
}
