//! Why a listener cannot listen, said to the author of its Gateway.

use std::io;
use std::net::SocketAddr;

use portcullis_model::{Code, Listener, ObjectId, Problem, Severity};

/// The port is in use.
pub(crate) const PORT_IN_USE: Code = Code("PC0501");
/// The process may not bind the port.
pub(crate) const PORT_FORBIDDEN: Code = Code("PC0502");
/// The machine does not have the address.
pub(crate) const ADDRESS_UNKNOWN: Code = Code("PC0503");
/// The system refused for another reason.
pub(crate) const CANNOT_LISTEN: Code = Code("PC0504");

/// The problem of one listener, whose socket could not be opened. `index` is its place in `spec.servers`.
pub(crate) fn cannot_listen(
    listener: &Listener,
    index: usize,
    address: SocketAddr,
    error: &io::Error,
) -> Problem {
    let port = address.port();
    let (code, message, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            PORT_IN_USE,
            format!("{address} is already in use"),
            format!(
                "stop what listens there (`ss -ltnp 'sport = :{port}'` shows it), or bind another \
                 port with `--port-map {}={}`",
                listener.port,
                another_port(port)
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            PORT_FORBIDDEN,
            format!("may not listen on {address}"),
            format!(
                "bind a port from 1024 on with `--port-map {}={}`, or grant CAP_NET_BIND_SERVICE",
                listener.port,
                another_port(port)
            ),
        ),
        io::ErrorKind::AddrNotAvailable => (
            ADDRESS_UNKNOWN,
            format!("{} is not an address of this machine", address.ip()),
            "name one that it has in `bind` or `--bind`, or none to take all".to_owned(),
        ),
        _ => (CANNOT_LISTEN, format!("cannot listen on {address}: {error}"), String::new()),
    };
    Problem {
        code,
        severity: Severity::Error,
        object: Some(gateway(listener)),
        field: format!("spec.servers[{index}].port"),
        origin: listener.origin.clone(),
        message,
        help,
    }
}

fn gateway(listener: &Listener) -> ObjectId {
    let (namespace, name) = listener.gateway.split_once('/').unwrap_or(("", &listener.gateway));
    ObjectId::new("Gateway", namespace, name)
}

fn another_port(port: u16) -> u16 {
    if port < 1024 { port + 8000 } else { port.saturating_add(1) }
}
