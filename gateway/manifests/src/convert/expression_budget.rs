//! What the regular expressions of one namespace may take together, so that nobody fills the memory of a gateway that
//! several namespaces share.

use std::collections::HashMap;

use portcullis_model::{ObjectId, Problem, Severity};

use crate::codes;
use crate::draft::{Draft, DraftFile};
use crate::last_good::LastGood;
use crate::read_document::ReadObject;
use crate::report::MOST_EXPRESSIONS;

/// Which objects have to go without their new version, as their namespace's expressions would take too much, and what
/// there is to say of that. What served before always fits; of what is new the oldest comes first.
pub(super) fn beyond_budget<'d>(
    draft: &'d Draft,
    last_good: &LastGood,
    next: &mut LastGood,
) -> HashMap<&'d ObjectId, Problem> {
    let mut held: HashMap<&str, usize> = HashMap::new();
    let mut growing = Vec::new();
    for (read, before) in with_expressions(draft, last_good) {
        let wanted = wanted(read).unwrap_or(before);
        let held = held.entry(&read.id.namespace).or_default();
        *held += before.min(wanted);
        next.keep_expressions(&read.id, before.min(wanted));
        if wanted > before {
            growing.push((read, before, wanted));
        }
    }
    growing.sort_by_key(|(read, ..)| read.object.as_ref().and_then(|object| object.created()));
    let mut beyond = HashMap::new();
    for (read, before, wanted) in growing {
        let held = held.entry(&read.id.namespace).or_default();
        let would_be = *held - before + wanted;
        if would_be <= MOST_EXPRESSIONS {
            *held = would_be;
            next.keep_expressions(&read.id, wanted);
        } else {
            beyond.insert(&read.id, problem(read, would_be));
        }
    }
    beyond
}

/// The objects that have expressions or had some, with what those that served last take; each identity once.
fn with_expressions<'d>(draft: &'d Draft, last_good: &LastGood) -> Vec<(&'d ReadObject, usize)> {
    let mut known = HashMap::new();
    let mut objects = Vec::new();
    for read in draft.files().flat_map(DraftFile::objects) {
        let before = last_good.expressions(&read.id);
        let matters = before > 0 || read.reported.expressions.is_some();
        if matters && read.is_served && read.is_named && known.insert(&read.id, ()).is_none() {
            objects.push((read, before));
        }
    }
    objects
}

/// What the expressions of a new version take; `None` where it cannot serve anyway.
fn wanted(read: &ReadObject) -> Option<usize> {
    let written = read.reported.expressions.as_deref();
    (!read.reported.is_broken).then(|| written.map_or(0, |expressions| expressions.bytes))
}

fn problem(read: &ReadObject, would_be: usize) -> Problem {
    let (field, origin, own) = match &read.reported.expressions {
        Some(most) => (most.field.clone(), most.origin.clone(), most.bytes),
        None => (String::new(), read.origin.clone(), 0),
    };
    let (namespace, most) = (&read.id.namespace, MOST_EXPRESSIONS >> 20);
    let kib = |bytes: usize| bytes.div_ceil(1 << 10);
    Problem {
        code: codes::EXPRESSION_BUDGET,
        severity: Severity::Error,
        object: Some(read.id.clone()),
        field,
        origin,
        message: format!(
            "the expressions of namespace `{namespace}` would take {} KiB, {} KiB of them this object's, where {most} MiB are allowed; this one takes most",
            kib(would_be),
            kib(own),
        ),
        help: "write prefixes or simpler expressions, or fewer of them".to_owned(),
    }
}
