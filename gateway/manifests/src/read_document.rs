//! One document of a file, read: its objects, and what is wrong with it. Nothing of its nodes is kept, which take ten
//! times the memory of what is read from them.

use std::path::Path;
use std::sync::Arc;

use portcullis_model::{Code, ObjectId, Origin, Problem};

use crate::codes;
use crate::deep_threads::in_parts;
use crate::duplicate_keys::report_duplicate_keys;
use crate::kinds::{Object, is_served, read};
use crate::names::Names;
use crate::parsed::{Failure, ParsedDocument};
use crate::raw_object::RawObject;
use crate::report::{Gravity, Report, Reported};
use crate::yaml::{Node, Place, Value};

/// A document that stands at a certain place. It is read again when it is another, or stands elsewhere.
#[derive(Debug)]
pub(crate) struct ReadDocument {
    /// What is in it.
    pub(crate) objects: Box<[ReadObject]>,
    /// What of it is no object.
    pub(crate) fault: Option<Box<Fault>>,
}

/// What is wrong with a document in which objects may be hidden.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    /// The problems.
    pub(crate) problems: Vec<Problem>,
    /// Who the document probably is, where it did not parse.
    pub(crate) object: Option<(ObjectId, Origin)>,
}

/// An object, read by itself.
#[derive(Debug)]
pub(crate) struct ReadObject {
    /// The API group, empty for the core group.
    pub(crate) group: Arc<str>,
    /// The identity; without a `metadata.name` the name is made of the line.
    pub(crate) id: ObjectId,
    /// Whether `metadata.name` is written.
    pub(crate) is_named: bool,
    /// Whether objects of its kind are understood.
    pub(crate) is_served: bool,
    /// Where it begins.
    pub(crate) origin: Origin,
    /// What it says, as far as that could be read.
    pub(crate) object: Option<Object>,
    /// What is wrong with it by itself.
    pub(crate) reported: Reported,
}

/// A document that is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread<'t> {
    pub(crate) text: &'t str,
    pub(crate) standing: Standing<'t>,
}

/// Where a document stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'s> {
    /// The file, as it is shown.
    pub(crate) file: &'s Arc<str>,
    /// The directory of the file.
    pub(crate) directory: &'s Path,
    /// How many lines of the file stand before it.
    pub(crate) lines_before: u32,
}

/// Reads documents; what is read of them comes in their order.
pub(crate) fn read_all(documents: &[Unread<'_>]) -> Vec<ReadDocument> {
    in_parts(documents, |part| {
        let mut names = Names::default();
        part.iter().map(|document| ReadDocument::read(*document, &mut names)).collect()
    })
}

impl ReadDocument {
    fn read(Unread { text, standing }: Unread<'_>, names: &mut Names) -> Self {
        let ParsedDocument { nodes, failure } = ParsedDocument::parse(text);
        let mut fault = Fault::default();
        let mut objects = Vec::with_capacity(nodes.len());
        for (node, nth) in nodes.into_iter().zip(0..) {
            match RawObject::new(node, (standing.lines_before, nth), names) {
                Ok(raw) => objects.push(ReadObject::new(&raw, standing, names)),
                Err(node) => fault.not_an_object(&node, standing),
            }
        }
        failure.into_iter().for_each(|failure| fault.not_parsed(failure, standing));
        let fault = (!fault.problems.is_empty()).then(|| Box::new(fault));
        ReadDocument { objects: objects.into(), fault }
    }
}

impl ReadObject {
    fn new(raw: &RawObject, standing: Standing<'_>, names: &mut Names) -> Self {
        let report = Report::new(Some(raw.id.clone()), standing.file.clone(), raw.lines_before);
        let origin = report.origin(raw.node.place);
        report_duplicate_keys(&raw.node, &report);
        let object = read(raw, standing.directory, &report);
        ReadObject {
            group: names.shared(&raw.group),
            id: raw.id.clone(),
            is_named: raw.is_named,
            is_served: is_served(raw),
            origin,
            object,
            reported: report.into_reported(),
        }
    }
}

impl Fault {
    fn not_parsed(&mut self, Failure { error, guess }: Failure, standing: Standing<'_>) {
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
        let origin = self.add(guess.clone(), code, (error.place, standing), said);
        self.object = guess.map(|id| (id, origin));
    }

    fn not_an_object(&mut self, node: &Node, standing: Standing<'_>) {
        let message = match &node.value {
            Value::Map(_) => "the document has no `apiVersion` or no `kind`".to_owned(),
            value => format!("the document is {}, not a Kubernetes object", value.kind()),
        };
        let help = "every document is an object with apiVersion, kind and metadata.name".to_owned();
        self.add(None, codes::NOT_AN_OBJECT, (node.place, standing), (message, help));
    }

    /// Adds a problem; where it is.
    fn add(
        &mut self,
        object: Option<ObjectId>,
        code: Code,
        (place, standing): (Place, Standing<'_>),
        said: (String, String),
    ) -> Origin {
        let report = Report::new(object, standing.file.clone(), standing.lines_before);
        let origin = report.origin(place);
        report.add(Gravity::Breaks, code, String::new(), origin.clone(), said);
        self.problems.extend(report.into_problems());
        origin
    }
}
