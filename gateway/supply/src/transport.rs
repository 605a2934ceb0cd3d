//! One request over HTTP/1.1, most often within TLS, and the whole answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::SupplyError;
use crate::origin::{NamedBy, why_not};

/// For names, connections and handshakes together.
const CONNECT: Duration = Duration::from_secs(10);
/// What is sent may take a second for each so many bytes besides.
const SENT_IN_A_SECOND: usize = 64 << 10;
/// For each next piece of an answer.
const SILENCE: Duration = Duration::from_secs(15);
const MOST_FIELDS: usize = 100;
const MOST_HEAD_BYTES: usize = 64 << 10;

/// Whether an address may be asked at all.
pub(crate) type Guard = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What connects to servers.
pub(crate) struct Transport {
    tls: Arc<ClientConfig>,
    guard: Option<Guard>,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) url: Uri,
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// The answer has at most so many bytes.
    pub(crate) limit: usize,
    pub(crate) named_by: NamedBy,
    /// What is sent; `None` where something is fetched.
    pub(crate) sent: Option<Sent>,
}

/// What makes a request something else than a GET.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    /// What the body is; nothing where there is none.
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Transport {
    /// Servers are verified by these authorities, in PEM; what cannot be read of them is left out.
    pub(crate) fn new(authorities: &[u8]) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let readable = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok);
        roots.add_parsable_certificates(readable);
        let mut tls = ClientConfig::builder_with_provider(portcullis_crypto::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Transport { tls: Arc::new(tls), guard: None })
    }

    /// The same, where a guard says which addresses may be asked, whoever named them.
    pub(crate) fn guarded(authorities: &[u8], guard: Guard) -> Result<Self, rustls::Error> {
        Ok(Transport { guard: Some(guard), ..Transport::new(authorities)? })
    }

    /// Asks once, on a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, SupplyError> {
        let shown = shown(&ask.url);
        let patience = patience(ask);
        let late = |_| {
            unreachable(&shown, &format_args!("no answer within {} seconds", patience.as_secs()))
        };
        let response = timeout(patience, self.begin(ask)).await.map_err(late)??;
        let (head, body) = response.into_parts();
        let body = read_body(body, ask.limit, &shown).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn begin(&self, ask: &Ask) -> Result<http::Response<Incoming>, SupplyError> {
        let shown = shown(&ask.url);
        let host = ask.url.host().unwrap_or_default();
        let is_tls = ask.url.scheme_str() == Some("https");
        let port = ask.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = self.connect(bare(host), port, ask.named_by, &shown).await?;
        if !is_tls {
            return exchange(stream, ask, &shown).await;
        }
        let name = ServerName::try_from(bare(host).to_owned())
            .map_err(|_| SupplyError::Malformed(format!("{shown}: the host is no name")))?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .map_err(|error| unreachable(&shown, &format_args!("TLS: {error}")))?;
        exchange(stream, ask, &shown).await
    }
}

impl Transport {
    /// To the first address that takes it. The address is checked that is connected to, so a name cannot mean another
    /// one a moment later.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        named_by: NamedBy,
        shown: &str,
    ) -> Result<TcpStream, SupplyError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses = found.map_err(|error| unreachable(shown, &error))?;
        let mut failure = unreachable(shown, &"the name has no address");
        for address in addresses {
            if let Some(why) = self.why_not(address.ip(), named_by) {
                let message = format!("{shown} leads to {}: {why}", address.ip());
                return Err(SupplyError::Forbidden(message));
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = unreachable(shown, &format_args!("{address}: {error}")),
            }
        }
        Err(failure)
    }

    fn why_not(&self, address: IpAddr, named_by: NamedBy) -> Option<&'static str> {
        match &self.guard {
            Some(may) if may(address) => None,
            Some(_) => Some("nothing is fetched from this address"),
            None => why_not(address, named_by),
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ask: &Ask,
    shown: &str,
) -> Result<http::Response<Incoming>, SupplyError> {
    let failed = |error: hyper::Error| unreachable(shown, &error);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MOST_FIELDS)
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    // It ends with the answer's body, which is read or dropped.
    tokio::spawn(connection);
    sender.send_request(request(ask)?).await.map_err(failed)
}

fn patience(ask: &Ask) -> Duration {
    let length = ask.sent.as_ref().map_or(0, |sent| sent.body.len());
    let seconds = u64::try_from(length / SENT_IN_A_SECOND).unwrap_or(u64::MAX);
    CONNECT.saturating_add(Duration::from_secs(seconds))
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, SupplyError> {
    let path = ask.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authority = ask.url.authority().map_or("", http::uri::Authority::as_str);
    let method = ask.sent.as_ref().map_or(Method::GET, |sent| sent.method.clone());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, ask.accept);
    if let Some(authorization) = &ask.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let mut body = Bytes::new();
    if let Some(sent) = ask.sent.as_ref().filter(|sent| sent.method != Method::HEAD) {
        // Registries want the length of nothing too.
        request = request.header(CONTENT_LENGTH, sent.body.len());
        if !sent.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, sent.content_type);
        }
        body = sent.body.clone();
    }
    let built = request.body(Full::new(body));
    built.map_err(|error| SupplyError::Malformed(format!("{}: {error}", shown(&ask.url))))
}

async fn read_body(mut body: Incoming, limit: usize, shown: &str) -> Result<Vec<u8>, SupplyError> {
    let mut read = Vec::new();
    loop {
        let next = timeout(SILENCE, body.frame()).await;
        let next = next.map_err(|_| unreachable(shown, &"the answer stopped in its middle"))?;
        let Some(frame) = next else { return Ok(read) };
        let frame = frame.map_err(|error| unreachable(shown, &error))?;
        let Ok(piece) = frame.into_data() else { continue };
        if read.len() + piece.len() > limit {
            return Err(SupplyError::TooLarge { what: format!("the answer to {shown}"), limit });
        }
        read.extend_from_slice(&piece);
    }
}

/// An address of IPv6 has brackets in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A URL without its query, in which there may be secrets.
pub(crate) fn shown(url: &Uri) -> String {
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    format!("{}://{authority}{}", url.scheme_str().unwrap_or("?"), url.path())
}

fn unreachable(shown: &str, why: &dyn std::fmt::Display) -> SupplyError {
    SupplyError::Unreachable(format!("{shown}: {why}"))
}
