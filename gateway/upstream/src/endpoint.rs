//! Endpoints: one address each, with what the whole process counts about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// An endpoint's number, unique in this process and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u64);

/// One address that serves a cluster. All workers and generations share it.
#[derive(Debug)]
pub struct Endpoint {
    /// Its number.
    pub id: EndpointId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Requests on their way to it or not answered to the end.
    pub active: AtomicUsize,
    /// Open connections to it, idle ones included.
    pub connections: AtomicUsize,
}

impl Endpoint {
    /// An endpoint that nothing was sent to yet.
    pub(crate) fn new(address: SocketAddr) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Arc::new(Endpoint {
            id: EndpointId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            address,
            active: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    /// Requests on their way to it or not answered to the end.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Open connections to it, idle ones included.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Counts one request as active for as long as it lives.
#[derive(Debug)]
pub(crate) struct ActiveRequest(Arc<Endpoint>);

impl ActiveRequest {
    pub(crate) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(endpoint.clone())
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one open connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Endpoint>);

impl OpenConnection {
    pub(crate) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(endpoint.clone())
    }

    pub(crate) fn endpoint(&self) -> EndpointId {
        self.0.id
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
