//! `tls` of a Gateway's server.

use std::sync::Arc;

use portcullis_model::Origin;

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;

/// `tls.credentialName`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CredentialName {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
}

pub(crate) static TLS: Schema = Schema {
    what: "a server's tls",
    served: &["httpsRedirect", "mode", "credentialName"],
    not_yet: &[
        "serverCertificate",
        "privateKey",
        "caCertificates",
        "caCrl",
        "credentialNames",
        "caCertCredentialName",
        "tlsCertificates",
        "subjectAltNames",
        "verifyCertificateSpki",
        "verifyCertificateHash",
        "minProtocolVersion",
        "maxProtocolVersion",
        "cipherSuites",
        "insecureSkipVerify",
    ],
    skipped: &[],
};

/// On a plain port only `httpsRedirect` means anything.
pub(crate) fn warn_of_plain_tls(tls: &Fields<'_>) {
    for name in ["mode", "credentialName"] {
        if let Some(field) = tls.field(name) {
            field.not_served(
                Gravity::Warns,
                format!("`{name}` has no effect on a port that speaks no TLS"),
                "set port.protocol to HTTPS, or remove it",
            );
        }
    }
}

/// The Secret of a server with TLS; `None` where the server cannot be served.
pub(crate) fn read_credential(tls: &Fields<'_>, namespace: &Arc<str>) -> Option<CredentialName> {
    match tls.field("mode") {
        None => {
            tls.cursor().not_served(
                Gravity::Degrades,
                "an omitted `mode` means PASSTHROUGH, which is known, but not served yet",
                "write `mode: SIMPLE` where TLS ends at the gateway; until then nothing listens for this server",
            );
            return None;
        }
        Some(mode) => check_mode(&mode)?,
    }
    let Some(field) = tls.field("credentialName") else {
        let message = "the server has no `credentialName`, so it has no certificate";
        let help =
            "name a Secret with tls.crt and tls.key; until then nothing listens for this server";
        tls.cursor().report(Gravity::Degrades, codes::MISSING, message, help);
        return None;
    };
    let text = field.text()?;
    let text = text.strip_prefix("kubernetes://").unwrap_or(text);
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (namespace.into(), name),
        None => (namespace.clone(), text),
    };
    Some(CredentialName { namespace, name: name.into(), origin: field.origin() })
}

fn check_mode(mode: &Cursor<'_>) -> Option<()> {
    match mode.text()? {
        "SIMPLE" => Some(()),
        text @ ("PASSTHROUGH" | "MUTUAL" | "AUTO_PASSTHROUGH" | "ISTIO_MUTUAL"
        | "OPTIONAL_MUTUAL") => {
            mode.not_served(
                Gravity::Degrades,
                format!("the mode {text} is known, but not served yet"),
                "nothing listens for this server; `SIMPLE` is served",
            );
            None
        }
        text => {
            mode.refuse(format!("`{text}` is no TLS mode"), "write SIMPLE");
            None
        }
    }
}
