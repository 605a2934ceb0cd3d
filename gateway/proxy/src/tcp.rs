//! The life of a connection whose bytes are passed on: choose where to, connect, carry, record.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use portcullis_exchange::{Connection, Upstream};
use portcullis_snapshot::{Snapshot, SocketKey};
use portcullis_upstream::{Cluster, EndpointId, RawConnection, draw_below};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Worker;
use crate::both_ways::{BothWays, Cause};
use crate::outdated::outdated;
use crate::tcp_record::{Ending, TcpRecord};

/// The first attempt and two more: nothing was sent before one succeeds.
const ATTEMPTS: usize = 3;
/// After so long without a byte either way a connection is closed (Istio's `tcp.idleTimeout`).
const IDLE: Duration = Duration::from_secs(3600);
/// How often what has passed is counted, and silence looked at.
const LOOK: Duration = Duration::from_secs(15);

/// A client's connection as it is to be passed on.
pub struct TcpClient<I> {
    /// The connection, or what is inside its TLS where that ends here.
    pub io: I,
    /// What was read of it ahead of time; the upstream gets it first.
    pub read_ahead: Bytes,
    /// The server name that its first message asks for, where TLS is passed on.
    pub server_name: Option<Arc<str>>,
    /// What is said to it before it is closed because no rule takes it.
    pub farewell: &'static [u8],
    /// Has its end tell that something failed.
    pub reset: fn(&I),
}

/// Passes the bytes of a connection on until both sides have ended, one of them fails, or nothing passes for an
/// hour. Cut off before, it still leaves its record.
pub async fn forward_connection<I>(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    mut client: TcpClient<I>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut record = TcpRecord::begin(worker, connection, client.server_name.take());
    let ending = match choose(&mut record) {
        Ok(cluster) => match connect(&mut record, &cluster).await {
            Ok(upstream) => carry(&mut record, &mut client, upstream).await,
            Err(ending) => ending,
        },
        Err(ending) => ending,
    };
    if matches!(ending, Ending::NoRoute) && !client.farewell.is_empty() {
        // Whether it is heard or not, this is the end.
        let _ = client.io.write_all(client.farewell).await;
        let _ = client.io.shutdown().await;
    } else if ending.is_failure() {
        (client.reset)(&client.io);
    }
    record.end(ending);
}

/// The record of a connection that should have begun with a ClientHello.
pub fn record_no_hello(worker: &Rc<Worker>, connection: Arc<Connection>) {
    let mut record = TcpRecord::begin(worker.clone(), connection, None);
    record.open(&worker.pin().unrouted);
    record.end(Ending::NoHello);
}

/// Chooses by the current snapshot, which the connection does not keep.
fn choose(record: &mut TcpRecord) -> Result<Arc<Cluster>, Ending> {
    let snapshot = record.worker.pin();
    let (name, key) = (record.server_name(), record.socket());
    let choice = choose_in(&snapshot, key, name.as_deref(), record);
    if choice.is_err() {
        record.open(&snapshot.unrouted);
    }
    choice
}

fn choose_in(
    snapshot: &Snapshot,
    key: SocketKey,
    name: Option<&str>,
    record: &mut TcpRecord,
) -> Result<Arc<Cluster>, Ending> {
    record.exchange.generation = snapshot.generation;
    let table = snapshot.socket(key).ok_or(Ending::NoRoute)?;
    let tcp = table.tcp.as_ref().ok_or(Ending::NoRoute)?;
    let route = tcp.find(name).ok_or(Ending::NoRoute)?;
    let listener = table.listeners.get(route.listener).map(|listener| &listener.settings);
    record.exchange.gateway = listener.map(|listener| listener.gateway.clone());
    if tcp.refusal(route).is_some() {
        return Err(Ending::Refused);
    }
    let rule = tcp.rule(route).ok_or(Ending::NoRoute)?;
    record.exchange.route = Some(rule.rule.id.clone());
    let destination = rule.destination(draw_below(rule.total_weight)).ok_or(Ending::NoCluster)?;
    record.exchange.cluster = Some(destination.label.clone());
    record.open(&destination.target);
    destination.cluster.clone().ok_or(Ending::NoCluster)
}

/// Connects to one of the cluster's endpoints; where that fails to another, if there is one.
async fn connect(record: &mut TcpRecord, cluster: &Cluster) -> Result<RawConnection, Ending> {
    let mut tried: SmallVec<[EndpointId; ATTEMPTS]> = SmallVec::new();
    let mut ending = Ending::NoHealthyUpstream;
    while tried.len() < ATTEMPTS {
        let Some(endpoint) = cluster.pick_endpoint(&tried) else { break };
        tried.push(endpoint.id);
        let address = endpoint.address();
        record.exchange.upstream = Some(Upstream { address, local_address: None });
        match RawConnection::open(cluster, &endpoint).await {
            Ok(upstream) => {
                let local_address = upstream.local_address();
                record.exchange.upstream = Some(Upstream { address, local_address });
                return Ok(upstream);
            }
            Err(failure) => ending = Ending::ConnectFailed(failure.to_string()),
        }
    }
    Err(ending)
}

async fn carry<I>(
    record: &mut TcpRecord,
    client: &mut TcpClient<I>,
    mut upstream: RawConnection,
) -> Ending
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let read_ahead = std::mem::take(&mut client.read_ahead);
    let mut ways = BothWays::starting_with(&read_ahead);
    drop(read_ahead);
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silence = Silence::default();
    let (worker, connection) = (record.worker.clone(), record.exchange.connection.clone());
    let mut outdated = pin!(outdated(&worker, &connection));
    let cause = poll_fn(|cx| {
        if outdated.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Cause::Outdated);
        }
        let ended = ways.poll_carry(&mut client.io, &mut upstream, cx);
        record.exchange.bytes_received = ways.received();
        record.exchange.bytes_sent = ways.sent();
        if ended.is_ready() {
            return ended;
        }
        while looks.poll_tick(cx).is_ready() {
            if silence.is_too_long(record.report()) {
                return Poll::Ready(Cause::Idle);
            }
        }
        Poll::Pending
    });
    let ending = Ending::from(cause.await);
    if ending.is_failure() {
        // The upstream must not take a broken connection for one that ended.
        upstream.end_with_reset();
    }
    ending
}

/// How long nothing has passed.
#[derive(Default)]
struct Silence(Duration);

impl Silence {
    /// Asked once every [`LOOK`], and told whether anything has passed since.
    fn is_too_long(&mut self, passed: bool) -> bool {
        self.0 = if passed { Duration::ZERO } else { self.0 + LOOK };
        self.0 >= IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_silence_is_too_long_and_a_byte_begins_it_anew() {
        let looks = IDLE.as_secs() / LOOK.as_secs();
        let mut silence = Silence::default();
        for _ in 0..2 {
            assert!(!(1..looks).any(|_| silence.is_too_long(false)));
            assert!(!silence.is_too_long(true));
        }
        assert!(!(1..looks).any(|_| silence.is_too_long(false)));
        assert!(silence.is_too_long(false));
    }
}
