//! Which sockets are open, and what has to change for a snapshot.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use portcullis_model::{Listener, ListenerProtocol, Problem};
use portcullis_snapshot::{Snapshot, SocketKey};

use crate::handed::{HandedSocket, Inherited, hand_out};
use crate::problems::cannot_listen;
use crate::settings::Settings;
use crate::socket::{BindTo, Socket, SocketId, listen};

/// A server of a Gateway with the address that it is served at. Servers that share a socket share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// The Gateway as `ns/name`.
    pub gateway: Arc<str>,
    /// The server's name.
    pub server: Arc<str>,
    /// The port in the resource.
    pub port: u16,
    /// What is spoken.
    pub protocol: ListenerProtocol,
    /// `tcp`
    pub transport: &'static str,
    /// Where it is really bound.
    pub address: SocketAddr,
}

/// The open sockets by what the resources call them. A descriptor of each stays here; workers get
/// duplicates of it.
#[derive(Default)]
pub(crate) struct OpenSockets {
    ports: BTreeMap<SocketKey, Port>,
    /// What a predecessor left us; used before anything is opened.
    inherited: Inherited,
}

/// The sockets of one port, one for each address.
struct Port {
    listeners: Vec<Arc<Listener>>,
    open: Vec<Open>,
}

struct Open {
    asked: BindTo,
    socket: Arc<Socket>,
    listener: TcpListener,
}

/// A socket just opened, for the workers to accept from.
pub(crate) struct Opened<'a> {
    pub(crate) socket: &'a Arc<Socket>,
    pub(crate) listener: &'a TcpListener,
}

impl OpenSockets {
    /// Takes sockets over from another process; the next snapshot decides which are used.
    pub(crate) fn adopt(&mut self, sockets: Vec<HandedSocket>) {
        self.inherited = Inherited::new(sockets);
    }

    /// Duplicates of all sockets for another process.
    pub(crate) fn hand_out(&self) -> io::Result<Vec<HandedSocket>> {
        let all = self.ports.iter().flat_map(|(key, port)| {
            port.open.iter().map(|open| hand_out(*key, open.asked, &open.listener))
        });
        all.collect()
    }

    /// Closes the sockets that a snapshot has no use for; workers still hold theirs.
    pub(crate) fn close_unwanted(&mut self, snapshot: &Snapshot) -> Vec<SocketId> {
        let mut closed = Vec::new();
        self.ports.retain(|key, port| {
            let wanted = snapshot.socket(*key).is_some();
            if !wanted {
                closed.extend(port.open.iter().map(|open| open.socket.id));
            }
            wanted
        });
        closed
    }

    /// Opens what a snapshot wants and is not open yet, and shows each new socket to `opened`. What cannot
    /// be opened is a problem for each of its listeners, and is tried again the next time.
    pub(crate) fn open_missing(
        &mut self,
        snapshot: &Snapshot,
        settings: &Settings,
        opened: impl Fn(Opened<'_>),
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, table) in &snapshot.sockets {
            let port = self.ports.entry(*key).or_insert_with(Port::new);
            port.listeners = table.listeners.iter().map(|l| l.settings.clone()).collect();
            for asked in settings.bind_to(*key) {
                match port.open(*key, asked, &mut self.inherited) {
                    Ok(Some(open)) => {
                        opened(Opened { socket: &open.socket, listener: &open.listener });
                    }
                    Ok(None) => {}
                    Err(error) => problems.extend(port.listeners.iter().map(|listener| {
                        let index = server_index(snapshot, listener);
                        cannot_listen(listener, index, asked.address(), &error)
                    })),
                }
            }
        }
        self.inherited.close_rest();
        problems
    }

    /// Closes everything; workers still hold theirs.
    pub(crate) fn close_all(&mut self) {
        self.ports.values_mut().for_each(|port| port.open.clear());
    }

    /// Every listener at every address that it is served at.
    pub(crate) fn bound(&self) -> Vec<BoundListener> {
        self.ports.iter().flat_map(|(key, port)| port.bound(*key)).collect()
    }
}

impl Port {
    fn new() -> Self {
        Port { listeners: Vec::new(), open: Vec::new() }
    }

    /// Opens one address unless it is open.
    fn open(
        &mut self,
        key: SocketKey,
        asked: BindTo,
        inherited: &mut Inherited,
    ) -> io::Result<Option<&Open>> {
        if self.open.iter().any(|open| open.asked == asked) {
            return Ok(None);
        }
        let listener = match inherited.take(key, asked) {
            Some(listener) => listener,
            None => listen(asked)?,
        };
        let address = listener.local_addr()?;
        let socket =
            Arc::new(Socket { id: SocketId::next(), key, address, connections: Arc::default() });
        self.open.push(Open { asked, socket, listener });
        Ok(self.open.last())
    }

    fn bound(&self, key: SocketKey) -> impl Iterator<Item = BoundListener> {
        self.open.iter().flat_map(move |open| {
            self.listeners.iter().map(move |listener| BoundListener {
                gateway: listener.gateway.clone(),
                server: listener.server.clone(),
                port: key.port,
                protocol: listener.protocol,
                transport: "tcp",
                address: open.socket.address,
            })
        })
    }
}

/// The place of a listener among the servers of its Gateway.
fn server_index(snapshot: &Snapshot, listener: &Listener) -> usize {
    let of_gateway = snapshot.model.listeners.iter().filter(|l| l.gateway == listener.gateway);
    of_gateway.take_while(|l| l.server != listener.server || l.port != listener.port).count()
}
