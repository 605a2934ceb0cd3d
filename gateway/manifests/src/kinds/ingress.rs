//! Kubernetes' `Ingress`.

use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ManifestDemand, Origin};

use super::edge_setting::PlacedSetting;
use super::gateway_annotations::{read_annotations, read_manifest_demand};
use super::ingress_annotations::{ForeignAnnotation, class_annotation, foreign_annotations};
use super::ingress_class::ClassName;
use super::ingress_path::{IngressBackend, IngressPath, read_backend, read_paths};
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::host_pattern;

/// An Ingress.
#[derive(Clone, Debug)]
pub(crate) struct Ingress {
    pub(crate) metadata: Metadata,
    /// The class that it names; `None` where it names none.
    pub(crate) class: Option<ClassName>,
    pub(crate) default_backend: Option<IngressBackend>,
    pub(crate) rules: Vec<IngressRule>,
    pub(crate) tls: Vec<IngressTls>,
    /// What its own annotations set for its sockets.
    pub(crate) settings: Vec<PlacedSetting>,
    /// Whether plugins that run on its requests need a manifest.
    pub(crate) manifest_demand: ManifestDemand,
    /// Annotations for other controllers that would change what happens to its requests.
    pub(crate) foreign: Vec<ForeignAnnotation>,
}

/// One entry of `rules`.
#[derive(Clone, Debug)]
pub(crate) struct IngressRule {
    /// `*` where none is written.
    pub(crate) host: HostPattern,
    pub(crate) paths: Vec<IngressPath>,
}

/// One entry of `tls` that names a Secret.
#[derive(Clone, Debug)]
pub(crate) struct IngressTls {
    pub(crate) origin: Origin,
    /// Which one of `spec.tls` it is.
    pub(crate) index: usize,
    /// Empty for those of all rules.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) secret: Arc<str>,
    /// Where the Secret is named.
    pub(crate) secret_origin: Origin,
}

static SPEC: Schema = Schema {
    what: "an Ingress",
    served: &["ingressClassName", "defaultBackend", "rules", "tls"],
    not_yet: &[],
    skipped: &[],
};
static RULE: Schema =
    Schema { what: "an Ingress rule", served: &["host", "http"], not_yet: &[], skipped: &[] };
static HTTP: Schema =
    Schema { what: "a rule's http", served: &["paths"], not_yet: &[], skipped: &[] };
static TLS: Schema = Schema {
    what: "an Ingress' tls",
    served: &["hosts", "secretName"],
    not_yet: &[],
    skipped: &[],
};

/// Reads an Ingress.
pub(crate) fn read_ingress(raw: &RawObject, report: &Report) -> Option<Ingress> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    if *raw.version == *"v1beta1" {
        let help = "write `networking.k8s.io/v1`: a backend has `service: {name, port}` there, and a path its `pathType`";
        let message = "Kubernetes has served no Ingress of `v1beta1` since 1.22";
        root.report(Gravity::Breaks, codes::UNKNOWN_VERSION, message, help);
        return None;
    }
    let root = root.fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let default_backend = spec.field("defaultBackend").and_then(|field| read_backend(&field));
    if spec.field("defaultBackend").is_none() && spec.field("rules").is_none() {
        spec.missing("rules", "an Ingress needs `rules` or a `defaultBackend`");
    }
    Some(Ingress {
        class: read_class(raw, &spec, report),
        default_backend,
        rules: read_rules(&spec),
        tls: read_tls(&spec),
        settings: read_annotations(raw, report),
        manifest_demand: read_manifest_demand(raw, report),
        foreign: foreign_annotations(raw, report),
        metadata,
    })
}

/// The annotation is older than the field, and wins where both are written, as in Kubernetes.
fn read_class(raw: &RawObject, spec: &Fields<'_>, report: &Report) -> Option<ClassName> {
    let written = spec.field("ingressClassName").and_then(|field| {
        let name = field.text()?.into();
        Some(ClassName { name, field: field.path(), origin: field.origin() })
    });
    let annotated = class_annotation(raw, report);
    if let (Some(field), Some(ours), Some(theirs)) =
        (spec.field("ingressClassName"), &written, &annotated)
        && ours.name != theirs.name
    {
        let message = format!("the annotation says `{}`, which counts", theirs.name);
        field.report(Gravity::Warns, codes::NO_EFFECT, message, "keep one of the two");
    }
    annotated.or(written)
}

fn read_rules(spec: &Fields<'_>) -> Vec<IngressRule> {
    let field = spec.field("rules");
    let items = field.iter().flat_map(|field| field.items());
    items.filter_map(|item| read_rule(&item.fields(&RULE)?)).collect()
}

fn read_rule(fields: &Fields<'_>) -> Option<IngressRule> {
    let host = match fields.field("host").filter(|field| !field.is_empty_text()) {
        Some(field) => read_host(&field),
        None => Some(HostPattern::Any),
    };
    let http = fields.field("http");
    let http = http.as_ref().and_then(|field| field.fields(&HTTP));
    let paths = http.as_ref().and_then(|http| http.required("paths"));
    let paths = paths.map(|field| read_paths(&field)).unwrap_or_default();
    Some(IngressRule { host: host?, paths })
}

/// A name, or `*.name`; addresses and `*` are none here.
fn read_host(field: &Cursor<'_>) -> Option<HostPattern> {
    let text = field.text()?;
    if text == "*" {
        field.refuse("`*` is no host of an Ingress", "leave `host` out for every host");
        return None;
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        field.refuse("an address is no host of an Ingress", "write a DNS name, or leave it out");
        return None;
    }
    host_pattern(field, text)
}

fn read_tls(spec: &Fields<'_>) -> Vec<IngressTls> {
    let field = spec.field("tls");
    let items = field.iter().flat_map(|field| field.items()).enumerate();
    items.filter_map(|(index, item)| read_tls_entry(&item.fields(&TLS)?, index)).collect()
}

fn read_tls_entry(fields: &Fields<'_>, index: usize) -> Option<IngressTls> {
    let hosts = fields.field("hosts");
    let hosts = hosts.iter().flat_map(|field| field.items());
    let hosts: Vec<Option<HostPattern>> = hosts.map(|item| read_host(&item)).collect();
    let Some(secret) = fields.field("secretName").filter(|field| !field.is_empty_text()) else {
        let message = "without a `secretName` there is no certificate, so the hosts are not served on port 443";
        let help = "name a Secret of type `kubernetes.io/tls`, or remove the entry where TLS ends before the gateway";
        fields.cursor().report(Gravity::Warns, codes::NO_EFFECT, message, help);
        return None;
    };
    Some(IngressTls {
        origin: fields.cursor().origin(),
        index,
        hosts: hosts.into_iter().collect::<Option<_>>()?,
        secret: secret.text()?.into(),
        secret_origin: secret.origin(),
    })
}
