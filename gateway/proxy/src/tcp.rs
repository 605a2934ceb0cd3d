//! The life of a connection whose bytes are passed on: choose where to, connect, carry, record.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use portcullis_exchange::{Connection, Upstream};
use portcullis_model::ConnectionPool;
use portcullis_snapshot::{Snapshot, SocketKey};
use portcullis_upstream::{
    Caller, Cluster, ConnectError, EndpointId, Outcome, Pick, RawConnection, UpstreamFailure,
    draw_below,
};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::Worker;
use crate::affinity::Affinity;
use crate::both_ways::{BothWays, Cause};
use crate::native_step::connection_refusal;
use crate::outdated::outdated;
use crate::sifted_ways::SiftedWays;
use crate::tcp_filters::TcpFilters;
use crate::tcp_record::{Ending, TcpRecord};

/// The first attempt and two more: nothing was sent before one succeeds.
const ATTEMPTS: usize = 3;
/// How often what has passed is counted, and silence and age looked at, unless their limits ask for more.
const LOOK: Duration = Duration::from_secs(15);
/// But no more often than this.
const CLOSEST_LOOK: Duration = Duration::from_millis(10);

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

/// Passes the bytes of a connection on until both sides have ended, one of them fails, nothing passes for the
/// cluster's idle timeout, or it is older than the cluster allows. Cut off before, it still leaves its record.
pub async fn forward_connection<I>(
    worker: Rc<Worker>,
    connection: Arc<Connection>,
    mut client: TcpClient<I>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut record = TcpRecord::begin(worker, connection, client.server_name.take());
    let ending = match choose(&mut record) {
        Ok(cluster) => serve(&mut record, &mut client, cluster).await,
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

/// Connects it to its cluster once the plugins let it go, and carries its bytes.
async fn serve<I>(
    record: &mut TcpRecord,
    client: &mut TcpClient<I>,
    cluster: Arc<Cluster>,
) -> Ending
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let allowed = Allowed::by(&cluster.settings().pool);
    if record.filters.is_some()
        && let Err(cause) = pass_plugins(record, allowed).await
    {
        return cause.into();
    }
    match connect(record, &cluster).await {
        Ok(upstream) => {
            drop(cluster);
            carry(record, client, upstream, allowed).await
        }
        Err(ending) => ending,
    }
}

/// Until every plugin lets the new connection go, which it may take no more time for than to be silent.
async fn pass_plugins(record: &mut TcpRecord, allowed: Allowed) -> Result<(), Cause> {
    let passing = poll_fn(|cx| match record.sieve() {
        Some(sieve) => sieve.filters.poll_begin(sieve.worker, sieve.exchange, cx),
        None => Poll::Ready(Ok(())),
    });
    match allowed.shortest() {
        Some(limit) => match timeout(limit, passing).await {
            Ok(passed) => passed.map_err(Cause::Plugin),
            Err(_late) => {
                record.bring_back();
                Err(Cause::Idle)
            }
        },
        None => passing.await.map_err(Cause::Plugin),
    }
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
    let connection = &record.exchange.connection;
    let addresses = (connection.local.ip(), connection.peer.ip());
    let route = tcp.find_between(name, Some(addresses)).ok_or(Ending::NoRoute)?;
    let listener = table.listeners.get(route.listener).map(|listener| &listener.settings);
    record.exchange.gateway = listener.map(|listener| listener.gateway.clone());
    record.log_rule = listener.and_then(|listener| listener.access_log.clone());
    if tcp.refusal(route).is_some() {
        return Err(Ending::Refused);
    }
    if let Some(refusal) =
        tcp.authorization(route).and_then(|each| connection_refusal(each, &record.exchange))
    {
        return Err(Ending::Denied(refusal));
    }
    let rule = tcp.rule(route).ok_or(Ending::NoRoute)?;
    record.filters = tcp.chain(route).map(|chain| Box::new(TcpFilters::new(chain.clone())));
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
    let connection = record.exchange.connection.clone();
    let caller = Caller { authority: None, connection: Some((connection.peer, connection.local)) };
    let key = cluster.hash_key();
    let hash = key.and_then(|key| Affinity::of_connection(key, &record.exchange));
    while tried.len() < ATTEMPTS {
        let pick = Pick { hash, tried: &tried };
        let Some(endpoint) = cluster.pick(&pick) else { break };
        tried.push(endpoint.id);
        // For a record that is cut off meanwhile.
        record.exchange.upstream =
            Some(Upstream { address: endpoint.address(), local_address: None });
        match RawConnection::open(cluster, &endpoint, caller).await {
            Ok(upstream) => {
                cluster.record(&endpoint, Outcome::Connected);
                let local_address = upstream.local_address();
                record.exchange.upstream_tls = upstream.tls().cloned();
                let address = upstream.peer();
                record.exchange.upstream = Some(Upstream { address, local_address });
                return Ok(upstream);
            }
            Err(ConnectError { cause: UpstreamFailure::Overflow(overflow), .. }) => {
                return Err(Ending::Overflow(overflow.to_string()));
            }
            Err(failure) => {
                record.exchange.upstream =
                    Some(Upstream { address: failure.address, local_address: None });
                if let Some(outcome) = Outcome::of(&failure.cause) {
                    cluster.record(&endpoint, outcome);
                }
                ending = Ending::ConnectFailed(failure.to_string());
            }
        }
    }
    Err(ending)
}

async fn carry<I>(
    record: &mut TcpRecord,
    client: &mut TcpClient<I>,
    mut upstream: RawConnection,
    allowed: Allowed,
) -> Ending
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let read_ahead = std::mem::take(&mut client.read_ahead);
    let mut ways = Ways::starting_with(&read_ahead, record);
    drop(read_ahead);
    let look = allowed.look();
    let mut looks = interval_at(Instant::now() + look, look);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clock = Clock { allowed, look, silence: Duration::ZERO, age: Duration::ZERO };
    let (worker, connection) = (record.worker.clone(), record.exchange.connection.clone());
    let mut outdated = pin!(outdated(&worker, &connection));
    let cause = poll_fn(|cx| {
        if outdated.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Cause::Outdated);
        }
        record.bring_back();
        let ended = ways.poll_carry(&mut client.io, &mut upstream, record, cx);
        record.exchange.bytes_received = ways.received();
        record.exchange.bytes_sent = ways.sent();
        if ended.is_ready() {
            return ended;
        }
        while looks.poll_tick(cx).is_ready() {
            if let Some(cause) = clock.tick(record.report()) {
                return Poll::Ready(cause);
            }
        }
        record.park();
        Poll::Pending
    });
    let ending = Ending::from(cause.await);
    if ending.is_failure() {
        // The upstream must not take a broken connection for one that ended.
        upstream.end_with_reset();
    }
    ending
}

/// How the bytes of a connection go.
enum Ways {
    /// Straight.
    Plain(BothWays),
    /// Through plugins.
    Sifted(Box<SiftedWays>),
}

impl Ways {
    fn starting_with(read_ahead: &[u8], record: &mut TcpRecord) -> Self {
        match &mut record.filters {
            None => Ways::Plain(BothWays::starting_with(read_ahead)),
            Some(filters) => {
                filters.upstream_opened();
                Ways::Sifted(Box::new(SiftedWays::starting_with(read_ahead)))
            }
        }
    }

    fn received(&self) -> u64 {
        match self {
            Ways::Plain(ways) => ways.received(),
            Ways::Sifted(ways) => ways.received(),
        }
    }

    fn sent(&self) -> u64 {
        match self {
            Ways::Plain(ways) => ways.sent(),
            Ways::Sifted(ways) => ways.sent(),
        }
    }

    fn poll_carry<D, U>(
        &mut self,
        downstream: &mut D,
        upstream: &mut U,
        record: &mut TcpRecord,
        cx: &mut Context<'_>,
    ) -> Poll<Cause>
    where
        D: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        match (self, record.sieve()) {
            (Ways::Plain(ways), _) => ways.poll_carry(downstream, upstream, cx),
            (Ways::Sifted(ways), Some(mut sieve)) => {
                ways.poll_carry((downstream, upstream), &mut sieve, cx)
            }
            // Where they are sifted there is a sieve.
            (Ways::Sifted(_), None) => Poll::Ready(Cause::BothEnded),
        }
    }
}

/// How long a connection may go on.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    /// Without a byte either way (`tcp.idleTimeout`); zero is for ever.
    silence: Duration,
    /// Altogether (`tcp.maxConnectionDuration`).
    age: Option<Duration>,
}

impl Allowed {
    fn by(pool: &ConnectionPool) -> Self {
        Allowed { silence: pool.tcp_idle_timeout, age: pool.max_connection_duration }
    }

    /// The shorter of the limits, where there is one.
    fn shortest(&self) -> Option<Duration> {
        let limits = [Some(self.silence), self.age].into_iter().flatten();
        limits.filter(|limit| !limit.is_zero()).min()
    }

    /// How often to look: a limit is passed by a quarter of it at most.
    fn look(&self) -> Duration {
        self.shortest().map_or(LOOK, |limit| (limit / 4).clamp(CLOSEST_LOOK, LOOK))
    }
}

/// What a connection has used of what it is allowed, as of the last look.
struct Clock {
    allowed: Allowed,
    look: Duration,
    silence: Duration,
    age: Duration,
}

impl Clock {
    /// Asked at every look, and told whether anything has passed since: why the connection has to end.
    fn tick(&mut self, passed: bool) -> Option<Cause> {
        self.silence = if passed { Duration::ZERO } else { self.silence + self.look };
        self.age += self.look;
        if !self.allowed.silence.is_zero() && self.silence >= self.allowed.silence {
            return Some(Cause::Idle);
        }
        self.allowed.age.is_some_and(|age| self.age >= age).then_some(Cause::TooOld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(pool: &ConnectionPool) -> Clock {
        let allowed = Allowed::by(pool);
        Clock { allowed, look: allowed.look(), silence: Duration::ZERO, age: Duration::ZERO }
    }

    #[test]
    fn an_hour_of_silence_is_too_long_and_a_byte_begins_it_anew() {
        let mut clock = clock(&ConnectionPool::default());
        let looks = 3600 / LOOK.as_secs();
        for _ in 0..2 {
            assert!((1..looks).all(|_| clock.tick(false).is_none()));
            assert!(clock.tick(true).is_none());
        }
        assert!((1..looks).all(|_| clock.tick(false).is_none()));
        assert!(matches!(clock.tick(false), Some(Cause::Idle)));
    }

    #[test]
    fn limits_are_looked_at_often_enough_and_zero_is_none() {
        let second = Duration::from_secs(1);
        let pool = ConnectionPool { tcp_idle_timeout: second, ..ConnectionPool::default() };
        let mut short = clock(&pool);
        assert_eq!(short.look, second / 4);
        assert!((0..3).all(|_| short.tick(false).is_none()) && short.tick(false).is_some());
        let pool = ConnectionPool { tcp_idle_timeout: Duration::ZERO, ..ConnectionPool::default() };
        assert!((0..10_000).all(|_| clock(&pool).tick(false).is_none()));
        let pool = ConnectionPool { max_connection_duration: Some(second), ..pool };
        let mut old = clock(&pool);
        assert!((0..3).all(|_| old.tick(true).is_none()));
        assert!(matches!(old.tick(true), Some(Cause::TooOld)));
    }
}
