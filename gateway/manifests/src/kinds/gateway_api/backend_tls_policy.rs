//! `BackendTLSPolicy`: TLS to the endpoints of Services.

use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::Origin;

use super::super::destination_rule_tls::{
    AuthorityRef, AuthorityStore, ClientMode, TlsRules, UpstreamAuthorities, UpstreamTls,
};
use super::object_ref::{ObjectRef, filled, read_object_ref};
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{choice, host_pattern};

/// A BackendTLSPolicy.
#[derive(Clone, Debug)]
pub(crate) struct BackendTlsPolicy {
    pub(crate) metadata: Metadata,
    pub(crate) targets: Vec<TlsTarget>,
    pub(crate) tls: UpstreamTls,
}

/// A Service of the policy's namespace, or one port of it.
#[derive(Clone, Debug)]
pub(crate) struct TlsTarget {
    pub(crate) service: Arc<str>,
    /// `sectionName`: the port's name.
    pub(crate) section: Option<Arc<str>>,
    pub(crate) field: String,
    pub(crate) origin: Origin,
}

static SPEC: Schema = Schema {
    what: "a BackendTLSPolicy",
    served: &["targetRefs", "validation", "options"],
    not_yet: &[],
    skipped: &[],
};
static TARGET: Schema = Schema {
    what: "a target",
    served: &["group", "kind", "name", "sectionName"],
    not_yet: &[],
    skipped: &[],
};
static VALIDATION: Schema = Schema {
    what: "`validation`",
    served: &["caCertificateRefs", "wellKnownCACertificates", "hostname", "subjectAltNames"],
    not_yet: &[],
    skipped: &[],
};
static REFERENCE: Schema = Schema {
    what: "a reference to CA certificates",
    served: &["group", "kind", "name"],
    not_yet: &[],
    skipped: &[],
};
static NAME: Schema = Schema {
    what: "a subject alternative name",
    served: &["type", "hostname", "uri"],
    not_yet: &[],
    skipped: &[],
};

impl BackendTlsPolicy {
    /// The same, with TLS that cannot be had.
    pub(crate) fn unreadable(&self) -> Self {
        BackendTlsPolicy { tls: UpstreamTls::Unreadable, ..self.clone() }
    }
}

/// Reads a BackendTLSPolicy. What cannot be read asks for TLS all the same.
pub(in crate::kinds) fn read_backend_tls_policy(
    raw: &RawObject,
    report: &Report,
) -> Option<BackendTlsPolicy> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let targets = spec.required("targetRefs");
    let targets = targets.iter().flat_map(|field| field.items());
    let targets = targets.filter_map(|item| read_target(&item, &metadata)).collect();
    warn_of_options(&spec);
    let rules = spec.required("validation").and_then(|field| {
        let rules = read_validation(&field.fields(&VALIDATION)?, &metadata)?;
        Some(UpstreamTls::Client(Arc::new(rules)))
    });
    Some(BackendTlsPolicy { metadata, targets, tls: rules.unwrap_or(UpstreamTls::Unreadable) })
}

fn read_target(item: &Cursor<'_>, metadata: &Metadata) -> Option<TlsTarget> {
    let fields = item.fields(&TARGET)?;
    let object = read_object_ref(&fields, &metadata.id.namespace, ("", ""))?;
    if !object.is_a("", "Service") {
        let message = format!("a `{}` is no target of a BackendTLSPolicy here", object.kind);
        item.report(
            Gravity::Degrades,
            codes::BAD_VALUE,
            message,
            "name a Service: `group: ''`, `kind: Service`",
        );
        return None;
    }
    let section = match fields.field("sectionName") {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    let ObjectRef { name, field, origin, .. } = object;
    Some(TlsTarget { service: name, section, field, origin })
}

fn warn_of_options(spec: &Fields<'_>) {
    let options = spec.field("options");
    for (name, value) in options.iter().flat_map(|field| field.entries()) {
        let message = format!("there is no option `{name}` here, so it has no effect");
        value.report(Gravity::Warns, codes::NO_EFFECT, message, "remove it; there are none");
    }
}

fn read_validation(fields: &Fields<'_>, metadata: &Metadata) -> Option<TlsRules> {
    let hostname = fields.required("hostname").and_then(|field| read_hostname(&field));
    let authorities = read_authorities(fields);
    let names = read_names(fields);
    let hostname = hostname?;
    let mut names = names?;
    // The hostname is whom to verify, unless names are written; then it is the server name alone.
    if names.is_empty() {
        names.push(hostname.clone());
    }
    Some(TlsRules {
        object: Some(metadata.id.clone()),
        field: fields.cursor().path().into(),
        origin: fields.cursor().origin(),
        certificate: None,
        authorities: authorities?,
        names: names.into(),
        sni: Some((&*hostname).into()),
        mode: ClientMode::Simple,
    })
}

/// A name without a wildcard.
fn read_hostname(field: &Cursor<'_>) -> Option<Box<str>> {
    match host_pattern(field, filled(field)?)? {
        HostPattern::Exact(name) if name.parse::<std::net::IpAddr>().is_err() => Some(name),
        _ => {
            field.refuse("this has to be a DNS name", "write the name in the certificate");
            None
        }
    }
}

fn read_authorities(fields: &Fields<'_>) -> Option<UpstreamAuthorities> {
    let references = fields.field("caCertificateRefs").filter(|field| !field.is_empty_list());
    let known = fields.field("wellKnownCACertificates").filter(|field| !field.is_empty_text());
    match (&references, &known) {
        (Some(_), Some(_)) => {
            fields.exclusive(&["caCertificateRefs", "wellKnownCACertificates"]);
            None
        }
        (None, None) => {
            let help = "name a ConfigMap with `ca.crt`, or write `wellKnownCACertificates: System`";
            fields.missing("caCertificateRefs", help);
            None
        }
        (None, Some(known)) => {
            choice(known, &[("System", ())])?;
            Some(UpstreamAuthorities::System)
        }
        (Some(references), None) => {
            let read = references.items().map(|item| read_reference(&item));
            let read: Option<Vec<AuthorityRef>> = read.collect();
            Some(UpstreamAuthorities::References(read?.into()))
        }
    }
}

fn read_reference(item: &Cursor<'_>) -> Option<AuthorityRef> {
    let fields = item.fields(&REFERENCE)?;
    let object = read_object_ref(&fields, &"".into(), ("", ""))?;
    let store = match (&*object.group, &*object.kind) {
        ("", "ConfigMap") => AuthorityStore::ConfigMap,
        ("", "Secret") => AuthorityStore::Secret,
        (_, kind) => {
            item.refuse(
                format!("CA certificates are found in a ConfigMap, not in a `{kind}`"),
                "write `group: ''` and `kind: ConfigMap` or `Secret`",
            );
            return None;
        }
    };
    let (name, field, origin) = (object.name, object.field.into(), object.origin);
    Some(AuthorityRef { store, name, field, origin })
}

fn read_names(fields: &Fields<'_>) -> Option<Vec<Box<str>>> {
    let field = fields.field("subjectAltNames");
    field.iter().flat_map(|field| field.items()).map(|item| read_name(&item)).collect()
}

fn read_name(item: &Cursor<'_>) -> Option<Box<str>> {
    let fields = item.fields(&NAME)?;
    if fields.exclusive(&["hostname", "uri"]) {
        return None;
    }
    let kind = fields.required("type")?;
    match choice(&kind, &[("Hostname", "hostname"), ("URI", "uri")])? {
        "hostname" => {
            let field = fields.required("hostname")?;
            Some(host_pattern(&field, filled(&field)?)?.to_string().into())
        }
        _ => {
            let field = fields.required("uri")?;
            let text = filled(&field)?;
            if !text.contains(":") {
                field.refuse(format!("`{text}` is no URI"), "write as `spiffe://example.com/web`");
                return None;
            }
            Some(text.into())
        }
    }
}
