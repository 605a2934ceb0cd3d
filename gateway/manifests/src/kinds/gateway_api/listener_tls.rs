//! `tls` of a listener.

use std::sync::Arc;

use portcullis_crypto::{TlsParameters, TlsVersions};
use portcullis_model::ListenerProtocol;

use super::object_ref::{ObjectRef, read_object_ref};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

/// What becomes of TLS at a listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListenerTls {
    /// It ends here.
    Terminated {
        /// Never empty.
        certificates: Vec<ObjectRef>,
        parameters: TlsParameters,
    },
    /// It is passed on.
    PassedOn,
}

static TLS: Schema = Schema {
    what: "`tls`",
    served: &["mode", "certificateRefs", "options"],
    not_yet: &[],
    skipped: &[],
};
pub(super) static SECRET_REF: Schema = Schema {
    what: "a reference to a Secret",
    served: &["group", "kind", "namespace", "name"],
    not_yet: &[],
    skipped: &[],
};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Terminate,
    Passthrough,
}

const MODES: [(&str, Mode); 2] =
    [("Terminate", Mode::Terminate), ("Passthrough", Mode::Passthrough)];
const VERSIONS: [(&str, TlsVersions); 2] =
    [("TLSV1_2", TlsVersions::Both), ("TLSV1_3", TlsVersions::Only13)];
const LEAST_VERSION: &str = "portcullis.dev/min-protocol-version";

/// Reads `tls` of a listener of this protocol; `None` where it has none, or none that can be used.
pub(super) fn read_listener_tls(
    listener: &Fields<'_>,
    protocol: ListenerProtocol,
    own: &Arc<str>,
) -> Option<ListenerTls> {
    let field = listener.field("tls");
    if !protocol.is_tls() {
        if let Some(field) = field {
            let message = format!("a listener of protocol {} has no TLS", protocol.as_str());
            field.refuse(message, "write `protocol: HTTPS` or `TLS`, or remove `tls`");
        }
        return None;
    }
    let Some(field) = field else {
        listener.missing("tls", "write `certificateRefs`, or for TLS `mode: Passthrough`");
        return None;
    };
    let fields = field.fields(&TLS)?;
    let mode = match fields.field("mode") {
        Some(field) => choice(&field, &MODES)?,
        None => Mode::Terminate,
    };
    match (mode, protocol) {
        (Mode::Passthrough, ListenerProtocol::Https) => {
            field.refuse(
                "TLS always ends at a listener of protocol HTTPS",
                "write `protocol: TLS` to pass it on",
            );
            None
        }
        (Mode::Passthrough, _) => {
            warn_of_certificates(&fields);
            Some(ListenerTls::PassedOn)
        }
        (Mode::Terminate, _) => read_terminated(&fields, own),
    }
}

fn read_terminated(fields: &Fields<'_>, own: &Arc<str>) -> Option<ListenerTls> {
    let parameters = read_options(fields);
    let Some(field) = fields.field("certificateRefs").filter(|field| !field.is_empty_list()) else {
        let help = "name a Secret with `tls.crt` and `tls.key`, as TLS ends at the listener";
        fields.missing("certificateRefs", help);
        return None;
    };
    let certificates: Vec<ObjectRef> =
        field.items().filter_map(|item| read_secret_ref(&item, own)).collect();
    Some(ListenerTls::Terminated { certificates, parameters })
}

/// Reads a reference that is to a Secret unless it says otherwise.
pub(super) fn read_secret_ref(item: &Cursor<'_>, own: &Arc<str>) -> Option<ObjectRef> {
    read_object_ref(&item.fields(&SECRET_REF)?, own, ("", "Secret"))
}

fn read_options(fields: &Fields<'_>) -> TlsParameters {
    let mut parameters = TlsParameters::default();
    let options = fields.field("options");
    for (name, value) in options.iter().flat_map(|field| field.entries()) {
        match name {
            LEAST_VERSION => {
                parameters.versions = choice(&value, &VERSIONS).unwrap_or(parameters.versions);
            }
            _ if name.starts_with("portcullis.dev/") => {
                let message = format!("there is no option `{name}`");
                let help = format!("known is {LEAST_VERSION}");
                value.report(Gravity::Breaks, codes::UNKNOWN_FIELD, message, help);
            }
            _ => {
                let message = format!("`{name}` is an option of another implementation");
                let help = format!("it has no effect here; known is {LEAST_VERSION}");
                value.report(Gravity::Warns, codes::NO_EFFECT, message, help);
            }
        }
    }
    parameters
}

fn warn_of_certificates(fields: &Fields<'_>) {
    for name in ["certificateRefs", "options"] {
        let field = fields.field(name).filter(|field| !field.is_empty_list());
        if let Some(field) = field {
            let message = format!("`{name}` has no effect where TLS is passed on");
            let help = "write `mode: Terminate` where TLS is to end at the gateway, or remove it";
            field.report(Gravity::Warns, codes::NO_EFFECT, message, help);
        }
    }
}
