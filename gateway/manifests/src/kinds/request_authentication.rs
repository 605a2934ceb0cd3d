//! `RequestAuthentication`: whose tokens a Gateway's requests may bring.

use portcullis_filters::JwtRule;

use super::jwt_rule::read_jwt_rule;
use super::plugin_target::{Coverage, of_namespace};
use super::protection::read_reach;
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A RequestAuthentication.
#[derive(Clone, Debug)]
pub(crate) struct RequestAuthentication {
    pub(crate) metadata: Metadata,
    pub(crate) coverage: Coverage,
    pub(crate) rules: Vec<JwtRule>,
}

/// A token is verified with each rule of its issuer; a configuration that has more than so many is no good one.
const MOST_RULES: usize = 4096;

static SPEC: Schema = Schema {
    what: "a RequestAuthentication",
    served: &["selector", "targetRef", "targetRefs", "jwtRules"],
    not_yet: &[],
    skipped: &[],
};

/// Reads a RequestAuthentication. Where it is broken, what it covers is all that counts of it.
pub(crate) fn read_request_authentication(
    raw: &RawObject,
    report: &Report,
) -> RequestAuthentication {
    let metadata = read_metadata(raw, report);
    let namespace = &metadata.id.namespace;
    let root = Cursor::root(&raw.node, report);
    let fields = root.fields(&OBJECT);
    let spec = fields.as_ref().and_then(|fields| fields.field("spec"));
    let (coverage, rules) = match &spec {
        None => (of_namespace(namespace), no_rules(&root)),
        Some(spec) => match spec.fields(&SPEC) {
            Some(spec) => (read_reach(&spec, namespace), read_rules(&spec)),
            None => (Coverage::Unclear(namespace.clone()), Vec::new()),
        },
    };
    RequestAuthentication { metadata, coverage, rules }
}

fn read_rules(spec: &Fields<'_>) -> Vec<JwtRule> {
    let Some(field) = spec.field("jwtRules").filter(|field| !field.is_empty_list()) else {
        return no_rules(spec.cursor());
    };
    let rules: Vec<JwtRule> = field.items().filter_map(|item| read_jwt_rule(&item)).collect();
    if rules.len() > MOST_RULES {
        field.refuse(
            format!("a RequestAuthentication has at most {MOST_RULES} rules"),
            "write one rule for each issuer",
        );
    }
    rules
}

fn no_rules(place: &Cursor<'_>) -> Vec<JwtRule> {
    place.report(
        Gravity::Warns,
        codes::NO_EFFECT,
        "without `jwtRules` no token is looked at",
        "write a rule for each issuer of tokens; to demand a token, write an AuthorizationPolicy",
    );
    Vec::new()
}
