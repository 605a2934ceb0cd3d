//! Listening sockets on their way to another process, or come from one: a binary upgrade.

use std::io;
use std::net::TcpListener;

use portcullis_snapshot::SocketKey;

use crate::socket::BindTo;

/// A traffic socket that goes from one process to its successor.
#[derive(Debug)]
pub struct HandedSocket {
    /// What it was opened for: two processes with the same arguments call it the same.
    pub name: String,
    /// The socket itself.
    pub listener: TcpListener,
}

/// The sockets that a predecessor handed over and nobody has asked for yet.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<HandedSocket>);

impl Inherited {
    pub(crate) fn new(sockets: Vec<HandedSocket>) -> Self {
        Inherited(sockets)
    }

    /// The socket that was opened for the same.
    pub(crate) fn take(&mut self, key: SocketKey, asked: BindTo) -> Option<TcpListener> {
        let name = name(key, asked);
        let index = self.0.iter().position(|socket| socket.name == name)?;
        Some(self.0.swap_remove(index).listener)
    }

    /// Closes what the first configuration had no use for.
    pub(crate) fn close_rest(&mut self) {
        for socket in self.0.drain(..) {
            tracing::info!(socket = socket.name, "an inherited socket is not used");
        }
    }
}

/// A duplicate for another process.
pub(crate) fn hand_out(
    key: SocketKey,
    asked: BindTo,
    listener: &TcpListener,
) -> io::Result<HandedSocket> {
    Ok(HandedSocket { name: name(key, asked), listener: listener.try_clone()? })
}

fn name(key: SocketKey, asked: BindTo) -> String {
    let bind = key.bind.map_or_else(|| "*".to_owned(), |bind| bind.to_string());
    let how = match asked {
        BindTo::Everywhere(_) => "everywhere",
        BindTo::Address(_) => "address",
        BindTo::V6Only(_) => "v6only",
    };
    format!("{} {bind} {how} {}", key.port, asked.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SocketKey = SocketKey { port: 80, bind: None };

    fn asked(address: &str) -> BindTo {
        BindTo::Address(address.parse().unwrap())
    }

    #[test]
    fn a_socket_is_known_by_what_it_was_opened_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handed = hand_out(KEY, asked("127.0.0.1:0"), &listener).unwrap();
        let mut inherited = Inherited::new(vec![handed]);
        assert!(inherited.take(KEY, asked("[::1]:0")).is_none());
        assert!(inherited.take(SocketKey { port: 443, ..KEY }, asked("127.0.0.1:0")).is_none());
        let taken = inherited.take(KEY, asked("127.0.0.1:0")).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(inherited.take(KEY, asked("127.0.0.1:0")).is_none());
    }
}
