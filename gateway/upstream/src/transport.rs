//! What the connections of a cluster are made of below HTTP: a PROXY header, TLS, or neither.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model as model;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::client_tls::ClientTls;
use crate::cluster::Cluster;
use crate::connect::connect;
use crate::endpoint::{Endpoint, EndpointId};
use crate::failure::{ConnectError, UpstreamFailure};
use crate::proxy_header::proxy_header;
use crate::socket::Socket;

/// Opens a connection to an endpoint, ready for HTTP or for bytes, all within the cluster's connect timeout.
///
/// # Errors
/// No connection came about: nothing that a client said was sent.
pub(crate) async fn open_socket(
    cluster: &Cluster,
    endpoint: &Endpoint,
    speaks: Speaks,
    caller: &Caller<'_>,
) -> Result<Socket, ConnectError> {
    let transport = cluster.transport();
    let (within, address) = (cluster.settings().pool.connect_timeout, endpoint.address());
    if transport.is_bare() {
        return connect(endpoint, &cluster.settings().pool).await.map(Socket::plain);
    }
    let failed = |cause| ConnectError { address, cause };
    transport.check().map_err(failed)?;
    let deadline = Instant::now() + within;
    let stream = connect(endpoint, &cluster.settings().pool).await?;
    // Beside a handshake an allocation is nothing, and it keeps other futures small.
    let dressed = Box::pin(transport.dress(stream, endpoint.id, speaks, caller));
    match timeout_at(deadline, dressed).await {
        Ok(socket) => socket.map_err(failed),
        Err(_) => Err(failed(UpstreamFailure::Tls("handshake timeout".to_owned()))),
    }
}

/// Who a connection is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'c> {
    /// The request's authority, with or without a port; `None` where there is no request.
    pub authority: Option<&'c str>,
    /// The client's address and ours on its connection; `None` where there is no client.
    pub connection: Option<(SocketAddr, SocketAddr)>,
}

/// What will be spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    #[allow(dead_code, reason = "for connections of HTTP/2")]
    Http2,
    /// Whatever the client says.
    Bytes,
}

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
    protection: Protection,
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
        Arc::new(Transport { number, tls, host, proxy_header, protection })
    }

    fn is_for(&self, settings: &model::Cluster) -> bool {
        self.tls == settings.tls
            && self.proxy_header == settings.proxy_header
            && self.host == settings.name.host
    }

    /// Tells connections apart that were made by other rules, or under another identity.
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
    fn is_bare(&self) -> bool {
        matches!(self.protection, Protection::Plain) && self.proxy_header.is_none()
    }

    fn check(&self) -> Result<(), UpstreamFailure> {
        match &self.protection {
            Protection::Broken(reason) => Err(UpstreamFailure::NoTls(reason.clone())),
            Protection::Plain | Protection::Tls(_) => Ok(()),
        }
    }

    async fn dress(
        &self,
        mut stream: TcpStream,
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
            Protection::Tls(tls) => tls.handshake(stream, endpoint, speaks, caller).await,
            Protection::Plain => Ok(Socket::plain(stream)),
            Protection::Broken(reason) => Err(UpstreamFailure::NoTls(reason.clone())),
        }
    }
}
