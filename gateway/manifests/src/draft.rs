//! What was written: every object of every file, parsed but not yet understood.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_model::{Code, ObjectId, Origin, Problem};

use crate::codes;
use crate::documents::{Document, split, telling_group};
use crate::parsed::{Failure, Known, ParsedDocument, parse_all};
use crate::report::{Gravity, Report};
use crate::yaml::{Node, Place, Value};

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
    files: Vec<Arc<DraftFile>>,
}

/// One parsed file.
#[derive(Debug)]
pub(crate) struct DraftFile {
    pub(crate) source: SourceFile,
    pub(crate) objects: Vec<RawObject>,
    pub(crate) problems: Vec<Problem>,
    /// Whether a document did not parse, so that objects of the file may be hidden in it.
    pub(crate) broken: bool,
    /// Who the documents that did not parse probably are.
    pub(crate) broken_objects: Vec<(ObjectId, Origin)>,
    documents: Vec<(Document, Arc<ParsedDocument>)>,
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
    /// The whole object. Its places count from the first line of its document.
    pub(crate) node: Arc<Node>,
    /// How many lines of the file stand before its document.
    pub(crate) lines_before: u32,
    /// The how-manieth object of its file this is.
    pub(crate) ordinal: usize,
}

impl Draft {
    /// Parses files. What cannot be parsed is a problem in the draft; everything else is there.
    pub fn read(files: Vec<SourceFile>) -> Self {
        Draft::read_with(files, &Draft::default())
    }

    /// The same, when most of it was read before: only documents that the previous draft does not have are
    /// parsed.
    pub fn read_with(files: Vec<SourceFile>, previous: &Draft) -> Self {
        let before: HashMap<&str, &Arc<DraftFile>> =
            previous.files.iter().map(|file| (&*file.source.path, file)).collect();
        let part = |source: SourceFile| match before.get(&*source.path) {
            Some(file) if file.source == source => Part::AsBefore(Arc::clone(file)),
            _ => Part::Other(split(&source.text), source),
        };
        let parts: Vec<Part> = files.into_iter().map(part).collect();
        let texts: Vec<&str> = parts.iter().flat_map(Part::texts).collect();
        let known = if texts.is_empty() { Known::new() } else { previous.documents() };
        let mut parsed = parse_all(&texts, &known).into_iter();
        Draft { files: parts.into_iter().map(|part| part.finish(&mut parsed)).collect() }
    }

    fn documents(&self) -> Known<'_> {
        let documents = self.files.iter().flat_map(|file| {
            let text = &file.source.text;
            file.documents.iter().map(move |(document, parsed)| (document.text(text), parsed))
        });
        documents.collect()
    }

    /// The files that it was read from, for showing the lines around a problem.
    pub fn sources(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().map(|file| &file.source)
    }

    /// Whether there is nothing in it: no object and no problem.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.objects.is_empty() && file.problems.is_empty())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &DraftFile> {
        self.files.iter().map(|file| &**file)
    }
}

/// One file of a draft that is being read.
enum Part {
    AsBefore(Arc<DraftFile>),
    Other(Vec<Document>, SourceFile),
}

impl Part {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (documents, text) = match self {
            Part::AsBefore(_) => (&[][..], ""),
            Part::Other(documents, source) => (&documents[..], &*source.text),
        };
        documents.iter().map(move |document| document.text(text))
    }

    /// Takes as many documents off the parsed ones as it has texts.
    fn finish(self, parsed: &mut impl Iterator<Item = Arc<ParsedDocument>>) -> Arc<DraftFile> {
        match self {
            Part::AsBefore(file) => file,
            Part::Other(documents, source) => {
                Arc::new(DraftFile::new(source, documents.into_iter().zip(parsed).collect()))
            }
        }
    }
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.sources().eq(other.sources())
    }
}

impl DraftFile {
    fn new(source: SourceFile, documents: Vec<(Document, Arc<ParsedDocument>)>) -> Self {
        let mut file = DraftFile {
            source,
            objects: Vec::with_capacity(documents.len()),
            problems: Vec::new(),
            broken: false,
            broken_objects: Vec::new(),
            documents: Vec::new(),
        };
        for (document, parsed) in &documents {
            parsed.nodes.iter().for_each(|node| file.push_object(node, document.lines_before));
            parsed
                .failure
                .iter()
                .for_each(|failure| file.not_parsed(failure, document.lines_before));
        }
        file.documents = documents;
        file
    }

    fn not_parsed(&mut self, Failure { error, guess }: &Failure, lines_before: u32) {
        let (code, what, help) = if error.over_budget {
            (codes::BUDGET, "asks for too much", "write it with fewer aliases and levels")
        } else {
            (
                codes::SYNTAX,
                "is not valid YAML",
                "correct the document; until then its object's last good version serves on, if there is one",
            )
        };
        let said = (format!("the document {what}: {}", error.message), help.to_owned());
        let origin = self.problem(guess.clone(), code, (error.place, lines_before), said);
        self.broken_objects.extend(guess.clone().map(|id| (id, origin)));
    }

    fn push_object(&mut self, node: &Arc<Node>, lines_before: u32) {
        let api_version = node.field("apiVersion").and_then(Node::text);
        let kind = node.field("kind").and_then(Node::text);
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            return self.not_an_object(node, lines_before);
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let (id, is_named) = identity((group, kind), node, lines_before);
        self.objects.push(RawObject {
            group: group.into(),
            version: version.into(),
            id,
            is_named,
            node: node.clone(),
            lines_before,
            ordinal: self.objects.len(),
        });
    }

    fn not_an_object(&mut self, node: &Node, lines_before: u32) {
        let message = match &node.value {
            Value::Map(_) => "the document has no `apiVersion` or no `kind`".to_owned(),
            value => format!("the document is {}, not a Kubernetes object", value.kind()),
        };
        let help = "every document is an object with apiVersion, kind and metadata.name".to_owned();
        self.problem(None, codes::NOT_AN_OBJECT, (node.place, lines_before), (message, help));
    }

    /// Adds the problem of a document that has no objects to offer; where it is.
    fn problem(
        &mut self,
        object: Option<ObjectId>,
        code: Code,
        (place, lines_before): (Place, u32),
        said: (String, String),
    ) -> Origin {
        let report = Report::new(object, self.source.path.clone(), lines_before);
        let origin = report.origin(place);
        report.add(Gravity::Breaks, code, String::new(), origin.clone(), said);
        self.problems.extend(report.into_problems());
        self.broken = true;
        origin
    }
}

/// The identity, and whether a name is written.
fn identity((group, kind): (&str, &str), node: &Node, lines_before: u32) -> (ObjectId, bool) {
    let metadata = node.field("metadata");
    let text = |name| metadata.and_then(|metadata| metadata.field(name)).and_then(Node::text);
    let namespace = text("namespace").unwrap_or("default");
    let group = telling_group(group, kind);
    match text("name") {
        Some(name) => (ObjectId::new(kind, namespace, name).in_group(group), true),
        None => {
            let name = format!("unnamed-in-line-{}", lines_before + node.place.line);
            (ObjectId::new(kind, namespace, name).in_group(group), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceFile {
        SourceFile { path: "a.yaml".into(), directory: PathBuf::new(), text: text.to_owned() }
    }

    fn read(text: &str) -> Arc<DraftFile> {
        Draft::read(vec![source(text)]).files.remove(0)
    }

    #[test]
    fn a_broken_document_leaves_the_others() {
        let file = read(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Secret\nmetadata:\n  name: b\ndata: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n",
        );
        let names: Vec<_> = file.objects.iter().map(|object| &*object.id.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!((file.objects[1].lines_before, file.objects[1].node.place.line), (8, 2));
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

    #[test]
    fn what_was_read_before_is_not_parsed_again() {
        let namespace =
            |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        let file = |path: &str, text: String| SourceFile { path: path.into(), ..source(&text) };
        let (a, b, c) = (namespace("a"), namespace("b"), namespace("c"));
        let kept = file("1.yaml", c.clone());
        let first = Draft::read(vec![kept.clone(), file("2.yaml", format!("{a}---\n{b}---\n[\n"))]);
        let changed = file("2.yaml", format!("# moved\n{c}---\n{b}---\n[\n"));
        let second = Draft::read_with(vec![kept, changed.clone()], &first);
        assert!(Arc::ptr_eq(&first.files[0], &second.files[0]));
        let (before, after) = (&first.files[1], &second.files[1]);
        assert!(Arc::ptr_eq(&before.objects[1].node, &after.objects[1].node));
        assert_eq!(after.objects[1].lines_before, before.objects[1].lines_before + 1);
        assert_eq!(after.problems[0].origin.line, before.problems[0].origin.line + 1);
        let fresh = Draft::read(vec![changed]);
        for (ours, wanted) in after.objects.iter().zip(&fresh.files[0].objects) {
            assert_eq!((&ours.id, &ours.node), (&wanted.id, &wanted.node));
        }
    }

    #[test]
    fn many_documents_stay_in_their_order() {
        let namespace =
            |number| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{number}}}\n");
        let text: Vec<String> = (0..1500).map(namespace).collect();
        let file = read(&text.join("---\n"));
        assert_eq!(file.objects.len(), 1500);
        for (number, object) in file.objects.iter().enumerate() {
            assert_eq!(*object.id.name, *format!("n{number}"));
        }
    }
}
