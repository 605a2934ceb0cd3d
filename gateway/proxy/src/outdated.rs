//! Whether a client whose bytes are passed on could still shake hands as it did: there is no next request at which
//! that would be asked.

use std::future::pending;

use portcullis_exchange::Connection;
use portcullis_snapshot::SocketKey;

use crate::Worker;

/// Ready once the TLS policy has become one that the connection does not satisfy; never on plain connections.
pub(crate) async fn outdated(worker: &Worker, connection: &Connection) {
    if connection.tls.is_none() {
        return pending().await;
    }
    loop {
        // Begun before the look, so that none is missed.
        let renewal = worker.renewals.notified();
        if !is_upheld(worker, connection) {
            return;
        }
        renewal.await;
    }
}

fn is_upheld(worker: &Worker, connection: &Connection) -> bool {
    let snapshot = worker.pin();
    let key = SocketKey { port: connection.port, bind: connection.bind };
    // A listener that was removed has its connections finish.
    match (snapshot.socket(key), &connection.tls) {
        (Some(table), Some(tls)) => table.upholds(snapshot.generation, tls),
        _ => true,
    }
}
