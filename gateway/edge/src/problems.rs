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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_code_and_says_what_to_do() {
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for (kind, code, part) in [
            (io::ErrorKind::AddrInUse, PORT_IN_USE, "--port-map 80=8080"),
            (io::ErrorKind::PermissionDenied, PORT_FORBIDDEN, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::AddrNotAvailable, ADDRESS_UNKNOWN, "192.0.2.1 is not an address"),
            (io::ErrorKind::OutOfMemory, CANNOT_LISTEN, "cannot listen on 192.0.2.1:80"),
        ] {
            let listener = crate::test_gateway::http("http", 80);
            let problem = cannot_listen(&listener, 2, address, &kind.into());
            assert_eq!((problem.code, &*problem.field), (code, "spec.servers[2].port"));
            assert!(problem.to_string().contains(part), "{problem}");
        }
        let codes = [PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNKNOWN, CANNOT_LISTEN];
        assert_eq!(codes.map(|code| code.0), ["PC0501", "PC0502", "PC0503", "PC0504"]);
    }
}
