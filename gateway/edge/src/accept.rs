//! Accepting connections, and handing them to a worker that has fewer.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::SendError;

use crate::connection::{Arrival, serve};
use crate::mailbox::{Command, HandedOver};
use crate::socket::Socket;
use crate::tcp_stream::reset_at_close;
use crate::worker::{Listening, Worker};

/// How long accepting rests when the system has no descriptor or memory for another connection.
const REST: Duration = Duration::from_millis(50);
/// Errors further apart than this are told anew, in seconds.
const QUIET: u32 = 10;

/// Accepts from a socket for as long as the task runs.
pub(crate) async fn accept_connections(
    worker: Rc<Worker>,
    socket: Arc<Socket>,
    listener: Rc<TcpListener>,
) {
    let mut failed = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => take_in(&worker, &socket, stream, peer),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                note_failure(&worker, &socket, &error, &mut failed);
                // Whoever waits stays in the socket's queue.
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Counts a failure, and tells it once for as long as failures follow each other.
fn note_failure(worker: &Worker, socket: &Socket, error: &io::Error, failed: &mut Option<u32>) {
    worker.proxy.settings.counts.accept_failed();
    let now = worker.clock.seconds();
    let is_news = failed.is_none_or(|last| now.saturating_sub(last) > QUIET);
    *failed = Some(now);
    if is_news {
        let worker = worker.index;
        tracing::warn!(worker, address = %socket.address, %error, "cannot accept; trying again every 50 ms");
    }
}

/// Ends accepting from a socket: takes in what still waits on it, then closes it in this worker.
pub(crate) async fn close(worker: Rc<Worker>, listening: Listening) {
    let Listening { socket, listener, task } = listening;
    task.abort();
    let _ = task.await;
    // The queue itself is asked, not tokio's memory of the last event.
    let Some(listener) = Rc::into_inner(listener).and_then(|listener| listener.into_std().ok())
    else {
        return;
    };
    while let Ok((stream, peer)) = listener.accept() {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            take_in(&worker, &socket, stream, peer);
        }
    }
}

/// Serves a connection here, or hands it to the least loaded worker.
fn take_in(worker: &Rc<Worker>, socket: &Arc<Socket>, stream: TcpStream, peer: SocketAddr) {
    let most = most_connections(worker, socket);
    let seat = match worker.load.seat(worker.index, &socket.connections, most) {
        Ok(seat) => seat,
        Err(limit) => {
            worker.proxy.settings.counts.turned_away(limit);
            // Nothing of it stays with us, not even a socket that waits for the client's FIN.
            return reset_at_close(&stream);
        }
    };
    if seat.worker() == worker.index {
        serve(worker, Arrival { stream, peer, socket: socket.clone(), seat });
        return;
    }
    let Ok(stream) = stream.into_std() else { return };
    let Some(mailbox) = worker.mailboxes.get(seat.worker()) else { return };
    let handed_over = HandedOver { stream, peer, socket: socket.clone(), seat };
    // A worker that is gone looks idle; a connection must not go with it.
    if let Err(SendError(Command::Take(refused))) = mailbox.send(Command::Take(handed_over)) {
        take_over(worker, refused);
    }
}

/// As the current snapshot has it.
fn most_connections(worker: &Worker, socket: &Socket) -> usize {
    let snapshot = worker.proxy.pin();
    let table = snapshot.socket(socket.key);
    table.map_or(usize::MAX, |table| table.connections.max_connections as usize)
}

/// Serves a connection that another worker accepted.
pub(crate) fn take_over(worker: &Rc<Worker>, handed_over: HandedOver) {
    let HandedOver { stream, peer, socket, seat } = handed_over;
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(worker, Arrival { stream, peer, socket, seat }),
        Err(error) => tracing::warn!(%peer, %error, "cannot take over a connection"),
    }
}

/// Errors of a connection that broke before it was accepted; the next one is not concerned.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the numbers of Linux, as `accept` gives them.
    #[test]
    fn only_what_is_short_here_makes_a_rest() {
        let (eintr, econnaborted, econnreset) = (4, 103, 104);
        for number in [eintr, econnaborted, econnreset] {
            assert!(concerns_one_connection(&io::Error::from_raw_os_error(number)), "{number}");
        }
        let (enomem, enfile, emfile, enobufs) = (12, 23, 24, 105);
        for number in [enomem, enfile, emfile, enobufs] {
            assert!(!concerns_one_connection(&io::Error::from_raw_os_error(number)), "{number}");
        }
    }
}
