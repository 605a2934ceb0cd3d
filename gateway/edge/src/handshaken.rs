//! The TLS connections of one worker, so that those can be sent away whose clients could not shake hands any
//! more as they did.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_exchange::Connection;
use portcullis_snapshot::{Snapshot, SocketKey};

use crate::activity::Activity;

/// Every TLS connection that the worker serves, by its number.
#[derive(Debug, Default)]
pub(crate) struct Handshaken(RefCell<BTreeMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    activity: Rc<Activity>,
}

/// A connection's place among the others; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Record {
    handshaken: Rc<Handshaken>,
    id: u64,
}

impl Handshaken {
    /// Adds a connection; `None` for a plain one.
    pub(crate) fn enter(
        self: &Rc<Self>,
        connection: &Arc<Connection>,
        activity: &Rc<Activity>,
    ) -> Option<Record> {
        connection.tls.as_ref()?;
        let entry = Entry { connection: connection.clone(), activity: activity.clone() };
        self.0.borrow_mut().insert(connection.id, entry);
        Some(Record { handshaken: self.clone(), id: connection.id })
    }

    /// Asks those to go after what they are serving whose policy was tightened.
    pub(crate) fn review(&self, snapshot: &Snapshot) {
        for Entry { connection, activity } in self.0.borrow().values() {
            let key = SocketKey { port: connection.port, bind: connection.bind };
            let (Some(table), Some(tls)) = (snapshot.socket(key), &connection.tls) else {
                continue;
            };
            if !table.upholds(snapshot.generation, tls) {
                activity.finish();
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.handshaken.0.borrow_mut().remove(&self.id);
    }
}
