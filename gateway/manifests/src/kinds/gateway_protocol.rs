//! What a Gateway's server speaks: its `port.protocol`, and what its `tls` makes of that.

use std::sync::Arc;

use portcullis_model::ListenerProtocol;

use crate::kinds::gateway_tls::{read_mode, read_server_tls, warn_of_plain_tls};
use crate::kinds::gateway_tls_settings::{ServerTls, TlsMode};
use crate::reader::{Cursor, Fields};
use crate::report::Gravity;

/// What a server speaks, and how TLS ends at it, where it does; `None` where it cannot be served.
pub(crate) fn read_protocol_and_tls(
    server: &Fields<'_>,
    protocol: &Cursor<'_>,
    tls: Option<&Fields<'_>>,
    namespace: &Arc<str>,
) -> Option<(ListenerProtocol, Option<ServerTls>)> {
    let protocol = read_protocol(protocol)?;
    if !protocol.is_tls() {
        tls.into_iter().for_each(warn_of_plain_tls);
        return Some((protocol, None));
    }
    let Some(tls) = tls else {
        let help =
            "such a server needs tls: `mode: SIMPLE` and `credentialName`, or `mode: PASSTHROUGH`";
        server.missing("tls", help);
        return None;
    };
    match read_mode(tls)? {
        TlsMode::Passthrough => {
            warn_of_certificates(tls);
            Some((ListenerProtocol::Tls, None))
        }
        TlsMode::AutoPassthrough => {
            tls.cursor().not_served(
                Gravity::Degrades,
                "the mode AUTO_PASSTHROUGH is known, but not served",
                "write `mode: PASSTHROUGH` and `tls` rules in a VirtualService; until then nothing listens for this server",
            );
            None
        }
        mode => Some((protocol, Some(read_server_tls(tls, mode, namespace)?))),
    }
}

/// `None` where the protocol is unknown, or known but not served.
fn read_protocol(field: &Cursor<'_>) -> Option<ListenerProtocol> {
    let text = field.text()?;
    match text.to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => Some(ListenerProtocol::Http),
        "HTTPS" => Some(ListenerProtocol::Https),
        "TLS" => Some(ListenerProtocol::Tls),
        "TCP" | "MONGO" | "MYSQL" | "REDIS" => Some(ListenerProtocol::Tcp),
        "UDP" => {
            field.not_served(
                Gravity::Warns,
                format!("the protocol {text} is known, but not served yet"),
                "nothing listens for this server; HTTP, HTTP2, GRPC, HTTPS, TLS and TCP are served",
            );
            None
        }
        _ => {
            let help = "write HTTP, HTTP2, GRPC, HTTPS, TLS or TCP";
            field.refuse(format!("`{text}` is no protocol"), help);
            None
        }
    }
}

/// Who names certificates where TLS does not end has surely meant something else.
fn warn_of_certificates(tls: &Fields<'_>) {
    for name in ["credentialName", "credentialNames", "serverCertificate", "tlsCertificates"] {
        let Some(field) = tls.field(name) else { continue };
        let message = match tls.field("mode") {
            Some(_) => format!("`{name}` has no effect where TLS is passed on"),
            None => format!("`{name}` has no effect: an omitted `mode` means PASSTHROUGH"),
        };
        let help = "write `mode: SIMPLE` where TLS is to end at the gateway, or remove it";
        field.not_served(Gravity::Degrades, message, help);
    }
}
