//! Documents to objects, each document parsed once however often its file is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{ScopedJoinHandle, available_parallelism, scope};

use portcullis_model::ObjectId;

use crate::documents::guess_identity;
use crate::json::parse_json;
use crate::yaml::{Node, ParseError, Value, deep_thread, parse};

/// What one document holds. Places count from its own first line, so that it serves wherever it stands.
#[derive(Debug)]
pub(crate) struct ParsedDocument {
    /// One node, or the items of a `List`.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Why there are none.
    pub(crate) failure: Option<Failure>,
}

/// Why a document did not parse, and who it probably is.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ParseError,
    pub(crate) guess: Option<ObjectId>,
}

/// Documents that have been parsed before, by their text.
pub(crate) type Known<'k> = HashMap<&'k str, &'k Arc<ParsedDocument>>;

/// So many documents are parsed on one thread before another is worth its start.
const DOCUMENTS_OF_A_THREAD: usize = 256;
/// Configuration is not worth more processors than these: others serve meanwhile.
const MOST_THREADS: usize = 4;

/// Parses documents, but for those that are known, in their order.
pub(crate) fn parse_all(texts: &[&str], known: &Known<'_>) -> Vec<Arc<ParsedDocument>> {
    let found: Vec<_> =
        texts.iter().map(|text| known.get(text).map(|known| (*known).clone())).collect();
    let missing: Vec<&str> = texts
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|(text, _)| *text)
        .collect();
    let mut parsed = parse_in_parallel(&missing).into_iter();
    found.into_iter().filter_map(|found| found.or_else(|| parsed.next())).collect()
}

fn parse_in_parallel(texts: &[&str]) -> Vec<Arc<ParsedDocument>> {
    let processors = available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let threads = texts.len().div_ceil(DOCUMENTS_OF_A_THREAD).clamp(1, processors);
    let part = texts.len().div_ceil(threads).max(1);
    scope(|scope| {
        let start = |texts| (texts, deep_thread().spawn_scoped(scope, move || parse_part(texts)));
        let parts: Vec<_> = texts.chunks(part).map(start).collect();
        // Where no thread can be had, the caller's own stack has to do.
        let finish = |(texts, thread): (_, Result<ScopedJoinHandle<'_, _>, _>)| {
            thread.map_or_else(|_| parse_part(texts), |thread| joined(thread))
        };
        parts.into_iter().flat_map(finish).collect()
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn parse_part(texts: &[&str]) -> Vec<Arc<ParsedDocument>> {
    texts.iter().map(|text| Arc::new(ParsedDocument::parse(text))).collect()
}

impl ParsedDocument {
    fn parse(text: &str) -> Self {
        let mut document = ParsedDocument { nodes: Vec::new(), failure: None };
        match parse_json(text).map_or_else(|| parse(text), |node| Ok(Some(node))) {
            Ok(node) => node.into_iter().for_each(|node| document.push(node)),
            Err(error) => document.failure = Some(Failure { error, guess: guess_identity(text) }),
        }
        document
    }

    /// Takes in one object, or every item of a `List`.
    fn push(&mut self, node: Node) {
        let is = |name, wanted| node.field(name).and_then(Node::text) == Some(wanted);
        if !is("apiVersion", "v1") || !is("kind", "List") {
            self.nodes.push(Arc::new(node));
            return;
        }
        let Value::Map(entries) = node.value else { return };
        let items = entries.into_iter().find(|(key, _)| &*key.text == "items");
        if let Some((_, Node { value: Value::List(items), .. })) = items {
            items.into_iter().for_each(|item| self.push(item));
        }
    }
}
