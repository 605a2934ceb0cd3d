//! What one worker thread has at hand for its connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_proxy::Worker as ProxyWorker;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::balance::Load;
use crate::clock::Clock;
use crate::connections::Connections;
use crate::handshaken::Handshaken;
use crate::http1::Workbench;
use crate::mailbox::Mailbox;
use crate::socket::{Socket, SocketId};

/// One worker's side of the edge.
pub(crate) struct Worker {
    pub(crate) index: usize,
    /// What serves the requests.
    pub(crate) proxy: Rc<ProxyWorker>,
    pub(crate) clock: Rc<Clock>,
    /// What its HTTP/1 connections share.
    pub(crate) bench: Rc<Workbench>,
    pub(crate) connections: Rc<Connections>,
    pub(crate) handshaken: Rc<Handshaken>,
    /// Of every worker, this one included.
    pub(crate) load: Arc<Load>,
    /// Of every worker, by index.
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) listeners: RefCell<HashMap<SocketId, Listening>>,
}

/// A socket that the worker accepts from.
pub(crate) struct Listening {
    pub(crate) socket: Arc<Socket>,
    pub(crate) listener: Rc<TcpListener>,
    pub(crate) task: JoinHandle<()>,
}
