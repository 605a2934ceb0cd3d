//! What was written: every object of every file, each read by itself.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::documents::{Document, split};
use crate::read_document::{Fault, ReadDocument, ReadObject, Standing, Unread, read_all};

/// One file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As it is shown to the user.
    pub path: Arc<str>,
    /// The directory that it stands in, where relative plugin urls begin.
    pub directory: PathBuf,
    /// What it holds: YAML of any number of documents, or JSON.
    pub text: Arc<str>,
}

/// Files whose objects are read. Equal where paths and texts are.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    files: Vec<Arc<DraftFile>>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct DraftFile {
    pub(crate) source: SourceFile,
    documents: Box<[(Document, Arc<ReadDocument>)]>,
}

impl Draft {
    /// Reads files. What cannot be read is a problem in the draft; everything else is there.
    pub fn read(files: Vec<SourceFile>) -> Self {
        Draft::read_with(files, &Draft::default())
    }

    /// The same, when most of it was read before: only documents that the previous draft does not have in that
    /// place are read.
    pub fn read_with(files: Vec<SourceFile>, previous: &Draft) -> Self {
        let before: HashMap<&str, &Arc<DraftFile>> =
            previous.files.iter().map(|file| (&*file.source.path, file)).collect();
        let part = |source: SourceFile| match before.get(&*source.path) {
            Some(file) if file.source == source => Part::AsBefore(Arc::clone(file)),
            file => Part::Other(OtherFile::new(source, file.map(|file| &***file))),
        };
        let parts: Vec<Part> = files.into_iter().map(part).collect();
        let unread: Vec<Unread<'_>> = parts.iter().flat_map(Part::unread).collect();
        let mut read = read_all(&unread).into_iter();
        Draft { files: parts.into_iter().map(|part| part.finish(&mut read)).collect() }
    }

    /// The files that it was read from, for showing the lines around a problem.
    pub fn sources(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().map(|file| &file.source)
    }

    /// Whether there is nothing in it: no object and no problem.
    pub fn is_empty(&self) -> bool {
        let is_empty =
            |document: &ReadDocument| document.objects.is_empty() && document.fault.is_none();
        self.files.iter().all(|file| file.documents.iter().all(|(_, read)| is_empty(read)))
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &DraftFile> {
        self.files.iter().map(|file| &**file)
    }
}

impl DraftFile {
    /// Its objects, in their order.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &ReadObject> {
        self.documents.iter().flat_map(|(_, read)| &read.objects)
    }

    /// What is wrong with documents in which objects may be hidden.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.documents.iter().filter_map(|(_, read)| read.fault.as_deref())
    }

    /// What was read of a document with this text at this place.
    fn known(&self, text: &str, lines_before: u32) -> Option<&Arc<ReadDocument>> {
        let line = |(document, _): &(Document, _)| document.lines_before;
        let place = self.documents.binary_search_by_key(&lines_before, line).ok()?;
        let (document, read) = self.documents.get(place)?;
        (document.text(&self.source.text) == text).then_some(read)
    }
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.sources().eq(other.sources())
    }
}

/// One file of a draft that is being read.
enum Part {
    AsBefore(Arc<DraftFile>),
    Other(OtherFile),
}

/// A file that is new or has changed.
struct OtherFile {
    source: SourceFile,
    /// With what is known of them from before.
    documents: Vec<(Document, Option<Arc<ReadDocument>>)>,
}

impl Part {
    fn unread(&self) -> impl Iterator<Item = Unread<'_>> {
        let other = match self {
            Part::AsBefore(_) => None,
            Part::Other(other) => Some(other),
        };
        other.into_iter().flat_map(OtherFile::unread)
    }

    /// Takes as many documents off those read as it has unread ones.
    fn finish(self, read: &mut impl Iterator<Item = ReadDocument>) -> Arc<DraftFile> {
        match self {
            Part::AsBefore(file) => file,
            Part::Other(OtherFile { source, documents }) => {
                let finish = |(document, known): (Document, Option<_>)| {
                    Some((document, known.or_else(|| read.next().map(Arc::new))?))
                };
                let documents = documents.into_iter().filter_map(finish).collect();
                Arc::new(DraftFile { source, documents })
            }
        }
    }
}

impl OtherFile {
    fn new(source: SourceFile, before: Option<&DraftFile>) -> Self {
        let before = before.filter(|file| file.source.directory == source.directory);
        let known = |document: &Document| {
            before?.known(document.text(&source.text), document.lines_before).cloned()
        };
        let with_known = |document| (known(&document), document);
        let documents = split(&source.text).into_iter().map(with_known);
        let documents = documents.map(|(known, document)| (document, known)).collect();
        OtherFile { source, documents }
    }

    fn unread(&self) -> impl Iterator<Item = Unread<'_>> {
        let SourceFile { path, directory, text } = &self.source;
        let unknown = self.documents.iter().filter(|(_, known)| known.is_none());
        unknown.map(move |(document, _)| {
            let lines_before = document.lines_before;
            let standing = Standing { file: path, directory, lines_before };
            Unread { text: document.text(text), standing }
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::ObjectId;

    use super::*;
    use crate::codes;

    fn source(text: &str) -> SourceFile {
        SourceFile { path: "a.yaml".into(), directory: PathBuf::new(), text: text.into() }
    }

    fn read(text: &str) -> Arc<DraftFile> {
        Draft::read(vec![source(text)]).files.remove(0)
    }

    #[test]
    fn a_broken_document_leaves_the_others() {
        let file = read(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Secret\nmetadata:\n  name: b\ndata: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n",
        );
        let objects: Vec<_> = file.objects().collect();
        let names: Vec<_> = objects.iter().map(|object| &*object.id.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(objects[1].origin.line, 10);
        let faults: Vec<_> = file.faults().collect();
        let problem = &faults[0].problems[0];
        assert_eq!(problem.object, Some(ObjectId::new("Secret", "default", "b")));
        assert!(problem.origin.line > 5, "{problem}");
    }

    #[test]
    fn a_list_is_expanded() {
        let file = read(
            r#"{"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g", "namespace": "n"}}]}"#,
        );
        let object = file.objects().next().unwrap();
        assert_eq!(object.id, ObjectId::new("Gateway", "n", "g"));
        assert_eq!((&*object.group, object.is_served), ("networking.istio.io", true));
    }

    #[test]
    fn what_is_no_object_is_a_problem() {
        for text in ["just text\n", "- a\n- b\n", "kind: Gateway\n"] {
            let file = read(text);
            let fault = file.faults().next().unwrap();
            assert_eq!(fault.problems[0].code, codes::NOT_AN_OBJECT, "{text}");
        }
        assert!(read("# nothing\n---\n").faults().next().is_none());
    }

    #[test]
    fn what_stands_where_it_stood_is_not_read_again() {
        let namespace =
            |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        let file = |path: &str, text: String| SourceFile { path: path.into(), ..source(&text) };
        let (a, b, c) = (namespace("a"), namespace("b"), namespace("c"));
        let kept = file("1.yaml", c.clone());
        let text = format!("{a}---\n{b}---\n[\n---\n{c}");
        let first = Draft::read(vec![kept.clone(), file("2.yaml", text)]);
        let changed = file("2.yaml", format!("{c}---\n{b}---\n# moved\n[\n---\n{c}"));
        let second = Draft::read_with(vec![kept, changed.clone()], &first);
        assert!(Arc::ptr_eq(&first.files[0], &second.files[0]));
        let document = |draft: &Draft, number: usize| draft.files[1].documents[number].1.clone();
        let is_same = |number| Arc::ptr_eq(&document(&first, number), &document(&second, number));
        assert_eq!([0, 1, 2, 3].map(is_same), [false, true, false, false]);
        let line = |draft| document(draft, 3).objects[0].origin.line;
        assert_eq!(line(&second), line(&first) + 1);
        let fresh = Draft::read(vec![changed]);
        assert!(
            second.files[1]
                .objects()
                .map(|ours| &ours.id)
                .eq(fresh.files[0].objects().map(|its| &its.id))
        );
    }

    #[test]
    fn a_file_in_another_directory_is_read_again() {
        let plugin = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        let first = Draft::read(vec![source(plugin)]);
        let elsewhere = SourceFile { directory: "/elsewhere".into(), ..source(plugin) };
        let second = Draft::read_with(vec![elsewhere], &first);
        assert!(!Arc::ptr_eq(&first.files[0].documents[0].1, &second.files[0].documents[0].1));
    }

    #[test]
    fn many_documents_stay_in_their_order() {
        let namespace =
            |number| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{number}}}\n");
        let text: Vec<String> = (0..1500).map(namespace).collect();
        let file = read(&text.join("---\n"));
        assert_eq!(file.objects().count(), 1500);
        for (number, object) in file.objects().enumerate() {
            assert_eq!(*object.id.name, *format!("n{number}"));
        }
    }
}
