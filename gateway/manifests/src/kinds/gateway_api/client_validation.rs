//! `tls` of a Gateway: how clients are verified, and what the gateway shows to backends.

use std::sync::Arc;

use portcullis_model::Origin;

use super::listener_tls::read_secret_ref;
use super::object_ref::{ObjectRef, read_object_ref};
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::{choice, port};

/// `spec.tls` of a Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GatewayTls {
    /// `backend.clientCertificateRef`
    pub(crate) client_certificate: Option<ObjectRef>,
    /// `frontend.default.validation`
    default: Option<ClientValidation>,
    /// `frontend.perPort`, each instead of the default.
    per_port: Vec<(u16, Option<ClientValidation>)>,
}

/// How the certificates of clients are verified.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientValidation {
    /// `caCertificateRefs`, never empty.
    pub(crate) authorities: Vec<ObjectRef>,
    pub(crate) mode: ValidationMode,
    pub(crate) origin: Origin,
    /// The path of the validation.
    pub(crate) field: String,
}

/// `mode` of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValidationMode {
    /// A client needs a certificate that is good.
    AllowValidOnly,
    /// A client without one, or with one that is not good, is taken too.
    AllowInsecureFallback,
}

static TLS: Schema =
    Schema { what: "`tls`", served: &["backend", "frontend"], not_yet: &[], skipped: &[] };
static BACKEND: Schema =
    Schema { what: "`backend`", served: &["clientCertificateRef"], not_yet: &[], skipped: &[] };
static FRONTEND: Schema =
    Schema { what: "`frontend`", served: &["default", "perPort"], not_yet: &[], skipped: &[] };
static CONFIG: Schema =
    Schema { what: "a TLS configuration", served: &["validation"], not_yet: &[], skipped: &[] };
static PER_PORT: Schema =
    Schema { what: "an entry of `perPort`", served: &["port", "tls"], not_yet: &[], skipped: &[] };
static VALIDATION: Schema = Schema {
    what: "`validation`",
    served: &["caCertificateRefs", "mode"],
    not_yet: &[],
    skipped: &[],
};
static AUTHORITY: Schema = Schema {
    what: "a reference to CA certificates",
    served: &["group", "kind", "namespace", "name"],
    not_yet: &[],
    skipped: &[],
};

impl GatewayTls {
    /// How clients of a port are verified; `None` where they are not.
    pub(crate) fn validation(&self, port: u16) -> Option<&ClientValidation> {
        let own = self.per_port.iter().find(|(number, _)| *number == port);
        own.map_or(self.default.as_ref(), |(_, own)| own.as_ref())
    }
}

/// Reads `spec.tls`.
pub(super) fn read_gateway_tls(spec: &Fields<'_>, own: &Arc<str>) -> GatewayTls {
    let mut tls = GatewayTls::default();
    let field = spec.field("tls");
    let Some(fields) = field.as_ref().and_then(|field| field.fields(&TLS)) else { return tls };
    let backend = fields.field("backend");
    let backend = backend.as_ref().and_then(|field| field.fields(&BACKEND));
    let certificate = backend.as_ref().and_then(|fields| fields.field("clientCertificateRef"));
    if let Some(field) = &certificate {
        tls.client_certificate = read_secret_ref(field, own);
    }
    let frontend = fields.field("frontend");
    let Some(fields) = frontend.as_ref().and_then(|field| field.fields(&FRONTEND)) else {
        return tls;
    };
    tls.default = fields.required("default").and_then(|field| read_config(&field, own));
    let per_port = fields.field("perPort");
    for item in per_port.iter().flat_map(|field| field.items()) {
        let Some((number, validation)) = read_per_port(&item, own) else { continue };
        if tls.per_port.iter().any(|(known, _)| *known == number) {
            item.refuse(format!("there is another entry for port {number}"), "keep one of them");
        }
        tls.per_port.push((number, validation));
    }
    tls
}

fn read_per_port(item: &Cursor<'_>, own: &Arc<str>) -> Option<(u16, Option<ClientValidation>)> {
    let fields = item.fields(&PER_PORT)?;
    let number = fields.required("port").and_then(|field| port(&field));
    let validation = fields.required("tls").and_then(|field| read_config(&field, own));
    Some((number?, validation))
}

fn read_config(field: &Cursor<'_>, own: &Arc<str>) -> Option<ClientValidation> {
    read_validation(&field.fields(&CONFIG)?.field("validation")?, own)
}

fn read_validation(field: &Cursor<'_>, own: &Arc<str>) -> Option<ClientValidation> {
    let fields = field.fields(&VALIDATION)?;
    let words = [
        ("AllowValidOnly", ValidationMode::AllowValidOnly),
        ("AllowInsecureFallback", ValidationMode::AllowInsecureFallback),
    ];
    let mode = match fields.field("mode") {
        Some(field) => choice(&field, &words)?,
        None => ValidationMode::AllowValidOnly,
    };
    let list = fields.required("caCertificateRefs")?;
    if list.is_empty_list() {
        list.refuse("clients cannot be verified by nothing", "name a ConfigMap with `ca.crt`");
    }
    let read = |item: Cursor<'_>| read_object_ref(&item.fields(&AUTHORITY)?, own, ("", ""));
    let authorities = list.items().filter_map(read).collect();
    Some(ClientValidation { authorities, mode, origin: field.origin(), field: field.path() })
}
