//! `tls` of a DestinationRule's policies.

use crate::reader::{Cursor, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

/// What a policy says on TLS to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamTls {
    /// `DISABLE`
    Plain,
    /// Another mode, or one that cannot be read. None is served yet, and plain text is not what was asked
    /// for.
    Demanded,
}

static TLS: Schema = Schema {
    what: "an upstream's tls",
    served: &["mode"],
    not_yet: &[],
    // They mean something beside a mode that is not served, which is said there.
    skipped: &[
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "credentialName",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
        "caCrl",
    ],
};
const MODES: &[(&str, UpstreamTls)] = &[
    ("DISABLE", UpstreamTls::Plain),
    ("SIMPLE", UpstreamTls::Demanded),
    ("MUTUAL", UpstreamTls::Demanded),
    ("ISTIO_MUTUAL", UpstreamTls::Demanded),
];

/// Reads a `tls`.
pub(super) fn read_tls(cursor: &Cursor<'_>) -> UpstreamTls {
    let fields = cursor.fields(&TLS);
    let Some(mode) = fields.as_ref().and_then(|fields| fields.field("mode")) else {
        cursor.not_served(
            Gravity::Degrades,
            "an omitted `mode` means DISABLE in Istio; here plain text has to be asked for",
            "write `mode: DISABLE`; until then the requests that this covers are answered with 503",
        );
        return UpstreamTls::Demanded;
    };
    let known = choice(&mode, MODES);
    if known == Some(UpstreamTls::Demanded) {
        mode.not_served(
            Gravity::Degrades,
            "TLS to the upstream is known, but not served yet",
            "until then the requests that this covers are answered with 503 (UH), as plain text is not what it asks for; write `mode: DISABLE` for plain text",
        );
    }
    known.unwrap_or(UpstreamTls::Demanded)
}
