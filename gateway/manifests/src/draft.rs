//! What was written: every object of every file, parsed but not yet understood.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_model::{ObjectId, Origin, Problem};

use crate::codes;
use crate::documents::{Document, guess_identity, split};
use crate::report::{Gravity, Report};
use crate::yaml::{Node, Place, Value, parse, with_deep_stack};

/// One file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As it is shown to the user.
    pub path: Arc<str>,
    /// The directory that it stands in, where relative plugin urls begin.
    pub directory: PathBuf,
    /// What it holds: YAML of any number of documents, or JSON.
    pub text: String,
}

/// Parsed files. Equal where paths and texts are.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    files: Vec<DraftFile>,
}

/// One parsed file.
#[derive(Clone, Debug)]
pub(crate) struct DraftFile {
    pub(crate) source: SourceFile,
    pub(crate) objects: Vec<RawObject>,
    pub(crate) problems: Vec<Problem>,
    /// Whether a document did not parse, so that objects of the file may be hidden in it.
    pub(crate) broken: bool,
    /// Who the documents that did not parse probably are.
    pub(crate) broken_objects: Vec<(ObjectId, Origin)>,
}

/// An object as it was written.
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
    /// The whole object.
    pub(crate) node: Node,
    /// The how-manieth object of its file this is.
    pub(crate) ordinal: usize,
}

impl Draft {
    /// Parses files. What cannot be parsed is a problem in the draft; everything else is there.
    pub fn read(files: Vec<SourceFile>) -> Self {
        Draft { files: with_deep_stack(|| files.into_iter().map(DraftFile::read).collect()) }
    }

    /// The files that it was read from, for showing the lines around a problem.
    pub fn sources(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().map(|file| &file.source)
    }

    /// Whether there is nothing in it: no object and no problem.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.objects.is_empty() && file.problems.is_empty())
    }

    pub(crate) fn files(&self) -> &[DraftFile] {
        &self.files
    }
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.sources().eq(other.sources())
    }
}

impl DraftFile {
    fn read(source: SourceFile) -> Self {
        let mut file = DraftFile {
            objects: Vec::new(),
            problems: Vec::new(),
            broken: false,
            broken_objects: Vec::new(),
            source,
        };
        let text = std::mem::take(&mut file.source.text);
        for document in split(&text) {
            file.read_document(document);
        }
        file.source.text = text;
        file
    }

    fn read_document(&mut self, document: Document<'_>) {
        match parse(document.text) {
            Ok(None) => {}
            Ok(Some(mut node)) => {
                node.move_down(document.lines_before);
                self.push_object(node);
            }
            Err(error) => {
                let place = Place { line: error.place.line + document.lines_before, ..error.place };
                let origin = self.origin(place);
                let guess = guess_identity(document.text);
                let (code, what, help) = if error.over_budget {
                    (codes::BUDGET, "asks for too much", "write it with fewer aliases and levels")
                } else {
                    (
                        codes::SYNTAX,
                        "is not valid YAML",
                        "correct the document; its object's last good version serves on until then",
                    )
                };
                let said = (format!("the document {what}: {}", error.message), help.to_owned());
                let report = Report::new(guess.clone(), self.source.path.clone());
                report.add(Gravity::Breaks, code, String::new(), origin.clone(), said);
                self.problems.extend(report.into_problems());
                self.broken = true;
                self.broken_objects.extend(guess.map(|id| (id, origin)));
            }
        }
    }

    /// Takes in one object, or every item of a `List`.
    fn push_object(&mut self, node: Node) {
        let api_version = node.field("apiVersion").and_then(Node::text);
        let kind = node.field("kind").and_then(Node::text);
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            return self.not_an_object(&node);
        };
        if api_version == "v1" && kind == "List" {
            return self.push_items(node);
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let (group, version) = (group.into(), version.into());
        let (id, is_named) = identity(kind, &node);
        let ordinal = self.objects.len();
        self.objects.push(RawObject { group, version, id, is_named, node, ordinal });
    }

    fn push_items(&mut self, node: Node) {
        let Value::Map(entries) = node.value else { return };
        let items = entries.into_iter().find(|(key, _)| &*key.text == "items");
        if let Some((_, Node { value: Value::List(items), .. })) = items {
            items.into_iter().for_each(|item| self.push_object(item));
        }
    }

    fn not_an_object(&mut self, node: &Node) {
        let message = match &node.value {
            Value::Map(_) => "the document has no `apiVersion` or no `kind`".to_owned(),
            value => format!("the document is {}, not a Kubernetes object", value.kind()),
        };
        let help = "every document is an object with apiVersion, kind and metadata.name".to_owned();
        let report = Report::new(None, self.source.path.clone());
        let origin = self.origin(node.place);
        report.add(Gravity::Breaks, codes::NOT_AN_OBJECT, String::new(), origin, (message, help));
        self.problems.extend(report.into_problems());
        self.broken = true;
    }

    fn origin(&self, place: Place) -> Origin {
        Origin { file: self.source.path.clone(), line: place.line, column: place.column }
    }
}

/// The identity, and whether a name is written.
fn identity(kind: &str, node: &Node) -> (ObjectId, bool) {
    let metadata = node.field("metadata");
    let text = |name| metadata.and_then(|metadata| metadata.field(name)).and_then(Node::text);
    let namespace = text("namespace").unwrap_or("default");
    match text("name") {
        Some(name) => (ObjectId::new(kind, namespace, name), true),
        None => {
            let name = format!("unnamed-in-line-{}", node.place.line);
            (ObjectId::new(kind, namespace, name), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> DraftFile {
        DraftFile::read(SourceFile {
            path: "a.yaml".into(),
            directory: PathBuf::new(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_broken_document_leaves_the_others() {
        let file = read(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Secret\nmetadata:\n  name: b\ndata: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n",
        );
        let names: Vec<_> = file.objects.iter().map(|object| &*object.id.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(file.objects[1].node.place.line, 10);
        assert!(file.broken);
        assert_eq!(file.problems[0].object, Some(ObjectId::new("Secret", "default", "b")));
        assert!(file.problems[0].origin.line > 5, "{}", file.problems[0]);
    }

    #[test]
    fn a_list_is_expanded() {
        let file = read(
            r#"{"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g", "namespace": "n"}}]}"#,
        );
        assert_eq!(file.objects[0].id, ObjectId::new("Gateway", "n", "g"));
        assert_eq!(&*file.objects[0].group, "networking.istio.io");
        assert_eq!(&*file.objects[0].version, "v1");
    }

    #[test]
    fn what_is_no_object_is_a_problem() {
        for text in ["just text\n", "- a\n- b\n", "kind: Gateway\n"] {
            let file = read(text);
            assert_eq!(file.problems[0].code, codes::NOT_AN_OBJECT, "{text}");
        }
        assert!(read("# nothing\n---\n").problems.is_empty());
    }
}
