//! One target: its state and the connections kept to it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::call::{Call, Reply};
use crate::client::Client;

/// What the balancer thinks of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Not checked often enough yet.
    Initial,
    /// Requests go there.
    Healthy,
    /// Its checks failed.
    Unhealthy,
    /// It was deregistered.
    Gone,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    state: Mutex<TargetState>,
    idle: Mutex<Vec<(Client, Instant)>>,
}

impl Target {
    pub(super) fn new(address: SocketAddr) -> Self {
        let (state, idle) = (Mutex::new(TargetState::Initial), Mutex::default());
        Target { address, state, idle }
    }

    pub(super) fn state(&self) -> TargetState {
        *self.state.lock().unwrap()
    }

    /// A target that is gone stays so.
    pub(super) fn enter(&self, state: TargetState) {
        let mut current = self.state.lock().unwrap();
        if *current != TargetState::Gone {
            *current = state;
        }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.lock().unwrap().len()
    }

    /// Sends a request once. A kept connection that is known to be closed is not taken; one that closes under
    /// the request is a 502.
    pub(super) async fn send(&self, call: Call, idle_timeout: Duration) -> Result<Reply, u16> {
        let mut client = match self.kept(idle_timeout) {
            Some(client) => client,
            None => Client::http1(self.address).await.map_err(|_| 502_u16)?,
        };
        let reply = client.try_call(call).await.map_err(|_| 502_u16)?;
        if reply.header("connection") != "close" {
            self.idle.lock().unwrap().push((client, Instant::now()));
        }
        Ok(reply)
    }

    fn kept(&self, idle_timeout: Duration) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap();
        idle.retain(|(client, since)| !client.is_closed() && since.elapsed() < idle_timeout);
        idle.pop().map(|(client, _)| client)
    }
}
