//! What the connections of a cluster are made of below HTTP: a PROXY header, TLS, or neither; and what each is bound to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_model as model;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::caller::{Caller, Speaks};
use crate::client_tls::ClientTls;
use crate::endpoint::EndpointId;
use crate::failure::UpstreamFailure;
use crate::proxy_header::proxy_header;
use crate::socket::Socket;

/// What a connection is reserved for: it serves nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// The authority whose name the endpoint has proved.
    authority: Option<Box<str>>,
    /// The client whose address the endpoint was told.
    connection: Option<(SocketAddr, SocketAddr)>,
}

impl Reservation {
    /// Whom a connection is for that is reserved so.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { authority: self.authority.as_deref(), connection: self.connection }
    }
}

/// A cluster's transport, compiled.
#[derive(Debug)]
pub(crate) struct Transport {
    number: u64,
    tls: model::UpstreamTls,
    host: Arc<str>,
    proxy_header: Option<model::UpstreamProxyHeader>,
    /// What else each connection is bound to for as long as it lives.
    bounds: Bounds,
    protection: Protection,
}

/// What the pool's settings say of each connection by itself.
#[derive(Debug, PartialEq)]
struct Bounds {
    idle_timeout: Duration,
    longest: Option<Duration>,
    most_requests: Option<u32>,
    most_streams: Option<u32>,
    probes: (model::Keepalive, Option<model::Http2Keepalive>),
}

impl Bounds {
    fn of(pool: &model::ConnectionPool) -> Self {
        Bounds {
            idle_timeout: pool.idle_timeout,
            longest: pool.max_connection_duration,
            most_requests: pool.max_requests_per_connection,
            most_streams: pool.max_concurrent_streams,
            probes: (pool.keepalive, pool.http2_keepalive),
        }
    }
}

#[derive(Debug)]
enum Protection {
    Plain,
    Tls(Box<ClientTls>),
    Broken(Arc<str>),
}

impl Transport {
    /// Compiles what a cluster asks for; the previous one goes on where it asked for the same.
    pub(crate) fn compile(
        settings: &model::Cluster,
        previous: Option<&Arc<Transport>>,
    ) -> Arc<Self> {
        if let Some(previous) = previous.filter(|previous| previous.is_for(settings)) {
            return previous.clone();
        }
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let host = settings.name.host.clone();
        let protection = match &settings.tls {
            model::UpstreamTls::Plain => Protection::Plain,
            model::UpstreamTls::Broken(reason) => Protection::Broken(reason.clone()),
            model::UpstreamTls::Client(tls) => match ClientTls::compile(tls, &host, number) {
                Ok(tls) => Protection::Tls(Box::new(tls)),
                Err(reason) => Protection::Broken(reason.into()),
            },
        };
        let (tls, proxy_header) = (settings.tls.clone(), settings.proxy_header);
        let bounds = Bounds::of(&settings.pool);
        Arc::new(Transport { number, tls, host, proxy_header, bounds, protection })
    }

    fn is_for(&self, settings: &model::Cluster) -> bool {
        self.tls == settings.tls
            && self.proxy_header == settings.proxy_header
            && self.host == settings.name.host
            && self.bounds == Bounds::of(&settings.pool)
    }

    /// Tells connections apart that were made by other rules, or under another identity; a later one's is higher.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What a connection for a caller is reserved for; `None` where it serves everybody.
    pub(crate) fn reservation(&self, caller: &Caller<'_>) -> Option<Reservation> {
        let by_name = matches!(&self.protection, Protection::Tls(tls) if tls.asks_for_authority());
        if !by_name && self.proxy_header.is_none() {
            return None;
        }
        Some(Reservation {
            authority: caller.authority.filter(|_| by_name).map(Into::into),
            connection: caller.connection.filter(|_| self.proxy_header.is_some()),
        })
    }

    /// Whether a TCP connection is all there is to it.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.protection, Protection::Plain) && self.proxy_header.is_none()
    }

    /// # Errors
    /// TLS is asked for that cannot be had.
    pub(crate) fn check(&self) -> Result<(), UpstreamFailure> {
        match &self.protection {
            Protection::Broken(reason) => Err(UpstreamFailure::NoTls(reason.clone())),
            Protection::Plain | Protection::Tls(_) => Ok(()),
        }
    }

    /// Makes of a TCP connection to this address what the cluster asks for.
    pub(crate) async fn dress(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        endpoint: EndpointId,
        speaks: Speaks,
        caller: &Caller<'_>,
    ) -> Result<Socket, UpstreamFailure> {
        self.check()?;
        if let Some(version) = self.proxy_header {
            let header = proxy_header(version, caller.connection);
            stream.write_all(&header).await.map_err(|error| UpstreamFailure::from_io(&error))?;
        }
        match &self.protection {
            Protection::Tls(tls) => {
                let (stream, facts) = tls.handshake(stream, endpoint, speaks, caller).await?;
                Ok(Socket::tls(stream, facts, address))
            }
            Protection::Plain => Ok(Socket::plain(stream, address)),
            Protection::Broken(reason) => Err(UpstreamFailure::NoTls(reason.clone())),
        }
    }
}
