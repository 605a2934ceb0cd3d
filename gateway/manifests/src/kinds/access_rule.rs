//! `rules` of an AuthorizationPolicy: `from`, `to` and `when`.

use portcullis_filters::{AccessAction, AccessRule, AccessSense, AccessSubject, AccessTest};

use super::access_condition::read_condition;
use super::access_values::{
    MOST, RuleReader, networks, paths, ports, service_accounts, text_values, undecidable,
};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;

static RULE: Schema =
    Schema { what: "a rule", served: &["from", "to", "when"], not_yet: &[], skipped: &[] };
static FROM: Schema =
    Schema { what: "an entry of `from`", served: &["source"], not_yet: &[], skipped: &[] };
static TO: Schema =
    Schema { what: "an entry of `to`", served: &["operation"], not_yet: &[], skipped: &[] };
static SOURCE: Schema = Schema {
    what: "a source",
    served: &[
        "principals",
        "notPrincipals",
        "requestPrincipals",
        "notRequestPrincipals",
        "namespaces",
        "notNamespaces",
        "serviceAccounts",
        "notServiceAccounts",
        "ipBlocks",
        "notIpBlocks",
        "remoteIpBlocks",
        "notRemoteIpBlocks",
    ],
    not_yet: &[],
    skipped: &[],
};
static OPERATION: Schema = Schema {
    what: "an operation",
    served: &[
        "hosts",
        "notHosts",
        "ports",
        "notPorts",
        "methods",
        "notMethods",
        "paths",
        "notPaths",
    ],
    not_yet: &[],
    skipped: &[],
};

/// Reads `rules`.
pub(super) fn read_rules(field: &Cursor<'_>, reader: RuleReader<'_>) -> Vec<AccessRule> {
    let rules: Vec<AccessRule> =
        field.items().filter_map(|item| read_rule(&item, reader)).collect();
    if rules.len() > MOST {
        field.refuse(format!("a policy has at most {MOST} rules"), "write several policies");
    }
    rules
}

/// `{}`, or nothing at all behind a dash, is a rule that matches everything.
fn read_rule(item: &Cursor<'_>, reader: RuleReader<'_>) -> Option<AccessRule> {
    if item.is_null() {
        item.refuse("a rule cannot be `null`", "write `{}` for a rule that matches everything");
        return None;
    }
    let fields = item.fields(&RULE)?;
    let from = entries(&fields, "from", &FROM, |entry| read_source(&entry, reader));
    let to = entries(&fields, "to", &TO, |entry| read_operation(&entry));
    let mut when = Vec::new();
    if let Some(field) = fields.field("when") {
        field.items().for_each(|item| when.extend(read_condition(&item, reader)));
    }
    Some(AccessRule { from, to, when, never: false })
}

/// The entries of `from` or `to`, each with the one field that it has.
fn entries(
    fields: &Fields<'_>,
    name: &str,
    schema: &'static Schema,
    read: impl Fn(Cursor<'_>) -> Vec<AccessTest>,
) -> Vec<Vec<AccessTest>> {
    let Some(field) = fields.field(name) else { return Vec::new() };
    if field.is_empty_list() {
        field.refuse(format!("`{name}` is empty"), "leave it out to have it match everything");
    }
    let mut entries = Vec::new();
    for item in field.items() {
        let Some(entry) = item.fields(schema) else { continue };
        let Some(inside) = schema.served.first().and_then(|only| entry.required(only)) else {
            continue;
        };
        entries.push(read(inside));
    }
    entries
}

fn read_source(source: &Cursor<'_>, reader: RuleReader<'_>) -> Vec<AccessTest> {
    let Some(fields) = source.fields(&SOURCE) else { return Vec::new() };
    let mut tests = Vec::new();
    let texts = |field: &Cursor<'_>| text_values(field);
    add(&fields, "principals", "notPrincipals", &mut tests, |field| {
        AccessSubject::Principal(texts(field))
    });
    add(&fields, "requestPrincipals", "notRequestPrincipals", &mut tests, |field| {
        AccessSubject::RequestPrincipal(texts(field))
    });
    add(&fields, "namespaces", "notNamespaces", &mut tests, |field| {
        AccessSubject::Namespace(texts(field))
    });
    add(&fields, "serviceAccounts", "notServiceAccounts", &mut tests, |field| {
        AccessSubject::ServiceAccount(service_accounts(field, reader.namespace))
    });
    add(&fields, "ipBlocks", "notIpBlocks", &mut tests, |field| {
        AccessSubject::PeerAddress(networks(field))
    });
    add(&fields, "remoteIpBlocks", "notRemoteIpBlocks", &mut tests, |field| {
        AccessSubject::ClientAddress(networks(field))
    });
    check_accounts(&fields);
    nothing_written(source, &tests);
    warn_of_token(&fields, reader);
    tests
}

fn read_operation(operation: &Cursor<'_>) -> Vec<AccessTest> {
    let Some(fields) = operation.fields(&OPERATION) else { return Vec::new() };
    let mut tests = Vec::new();
    add(&fields, "hosts", "notHosts", &mut tests, |field| AccessSubject::Host(text_values(field)));
    add(&fields, "ports", "notPorts", &mut tests, |field| AccessSubject::Port(ports(field)));
    add(&fields, "methods", "notMethods", &mut tests, |field| {
        AccessSubject::Method(text_values(field))
    });
    add(&fields, "paths", "notPaths", &mut tests, |field| AccessSubject::Path(paths(field)));
    nothing_written(operation, &tests);
    tests
}

/// The tests of a list and of its negative; an empty list is as good as none.
fn add(
    fields: &Fields<'_>,
    name: &str,
    not_name: &str,
    tests: &mut Vec<AccessTest>,
    read: impl Fn(&Cursor<'_>) -> AccessSubject,
) {
    for (name, sense) in [(name, AccessSense::OneOf), (not_name, AccessSense::NoneOf)] {
        if let Some(field) = fields.field(name).filter(|field| !field.is_empty_list()) {
            tests.push(AccessTest { subject: read(&field), sense });
        }
    }
}

fn nothing_written(cursor: &Cursor<'_>, tests: &[AccessTest]) {
    // Of a field that is misspelt it was said.
    let has_nothing = cursor.entries().all(|(_, field)| field.is_null() || field.is_empty_list());
    if tests.is_empty() && has_nothing {
        cursor.refuse("it says nothing", "leave it out to have the rule match everything");
    }
}

/// As in Istio, service accounts stand for themselves.
fn check_accounts(fields: &Fields<'_>) {
    let accounts = ["serviceAccounts", "notServiceAccounts"];
    let others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    let first = |names: &[&str]| names.iter().find_map(|name| fields.field(name));
    if let Some(field) = first(&accounts)
        && first(&others).is_some()
    {
        field.report(
            Gravity::Breaks,
            codes::EXCLUSIVE,
            "service accounts cannot stand beside principals and namespaces",
            "write them into a source of its own",
        );
    }
}

/// `CUSTOM` comes before any token is verified.
fn warn_of_token(fields: &Fields<'_>, reader: RuleReader<'_>) {
    let names = ["requestPrincipals", "notRequestPrincipals"];
    let written = names.iter().find_map(|name| fields.field(name));
    if let Some(field) = written.filter(|_| reader.action == AccessAction::Custom) {
        undecidable(&field, "tokens are verified behind CUSTOM, so this counts as fulfilled");
    }
}
