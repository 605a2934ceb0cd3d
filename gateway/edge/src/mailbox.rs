//! What a worker can be told from outside its thread.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use portcullis_telemetry::MetricShard;
use tokio::sync::oneshot;

use crate::balance::Seat;
use crate::socket::{Socket, SocketId};

/// Where a worker's commands are sent to.
pub(crate) type Mailbox = tokio::sync::mpsc::UnboundedSender<Command>;

/// One command.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept from this socket too.
    Listen { socket: Arc<Socket>, listener: TcpListener },
    /// Take in what waits on this socket, then let go of it.
    Close { socket: SocketId, closed: Closed },
    /// Serve a connection that another worker accepted.
    Take(HandedOver),
    /// A newer snapshot was published.
    NewGeneration,
    /// Send a copy of the metrics.
    CollectShard(oneshot::Sender<MetricShard>),
    /// Send each connection away after its next response.
    Drain,
    /// Take in what waits on all sockets, let go of them, and send everybody away.
    StopAccepting { closed: Closed },
    /// Let go of all sockets; what waits on them is another process's.
    LeaveSockets { closed: Closed },
    /// Ask every connection to go after what it is serving.
    Relieve,
    /// End every connection at once.
    CutAll,
    /// End the thread.
    Stop,
}

/// Dropped once the socket is closed in that worker; the channel ends when it is in all of them.
pub(crate) type Closed = mpsc::Sender<std::convert::Infallible>;

/// A connection on its way from one worker to another, before any byte was read from it.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) socket: Arc<Socket>,
    pub(crate) seat: Seat,
}
