//! A strict little client: one connection, HTTP/1.1 or HTTP/2, plain or over TLS.

use std::io;
use std::net::SocketAddr;

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::body::TestBody;
use crate::call::{Call, Reply};
use crate::patience::within;
use crate::tls::Tls;

/// One connection to a server. Dropping it closes the connection once nothing is under way.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    scheme: &'static str,
    certificate: Option<Vec<u8>>,
    protocol: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<TestBody>),
    Http2(http2::SendRequest<TestBody>),
}

impl Client {
    /// Plain HTTP/1.1.
    pub async fn http1(address: SocketAddr) -> io::Result<Self> {
        let sender = http1_over(connect(address).await?).await?;
        Ok(Client { sender, scheme: "http", certificate: None, protocol: None })
    }

    /// HTTP/2 without TLS, by prior knowledge.
    pub async fn h2c(address: SocketAddr) -> io::Result<Self> {
        let sender = http2_over(connect(address).await?).await?;
        Ok(Client { sender, scheme: "http", certificate: None, protocol: None })
    }

    /// HTTP/2 without TLS, after bytes that are none of HTTP's, such as a PROXY header.
    pub async fn h2c_after(address: SocketAddr, first: &[u8]) -> io::Result<Self> {
        let mut stream = connect(address).await?;
        stream.write_all(first).await?;
        let sender = http2_over(stream).await?;
        Ok(Client { sender, scheme: "http", certificate: None, protocol: None })
    }

    /// TLS, then what the two sides agreed upon; HTTP/1.1 where they agreed upon nothing.
    ///
    /// # Errors
    /// The handshake failed; its reason is the error's text.
    pub async fn tls(address: SocketAddr, tls: &Tls) -> io::Result<Self> {
        Client::tls_after(address, b"", tls).await
    }

    /// The same after bytes that are none of TLS, such as a PROXY header.
    ///
    /// # Errors
    /// The handshake failed; its reason is the error's text.
    pub async fn tls_after(address: SocketAddr, first: &[u8], tls: &Tls) -> io::Result<Self> {
        let mut stream = connect(address).await?;
        stream.write_all(first).await?;
        let stream = tls.connect(stream).await?;
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().map(|chain| chain[0].to_vec());
        let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
        let sender = match protocol.as_deref() {
            Some(b"h2") => http2_over(stream).await?,
            _ => http1_over(stream).await?,
        };
        Ok(Client { sender, scheme: "https", certificate, protocol })
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Panics
    /// When there is no complete reply; see [`Client::try_call`].
    pub async fn call(&mut self, call: Call) -> Reply {
        let what = format!("{} {}{}", call.method, call.host, call.path);
        self.try_call(call).await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// A GET, read whole.
    pub async fn get(&mut self, host: &str, path: &str) -> Reply {
        self.call(Call::get(host, path)).await
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// The connection closed, or the reply was cut short or broke the protocol.
    pub async fn try_call(&mut self, call: Call) -> hyper::Result<Reply> {
        let (head, body) = self.open(call).await?.into_parts();
        let body = within("the whole reply", body.collect()).await?;
        Ok(Reply {
            status: head.status,
            version: head.version,
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        })
    }

    /// Sends a request and leaves the reply's body to the test.
    ///
    /// # Errors
    /// There was no reply.
    pub async fn open(&mut self, call: Call) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                within("a free connection", sender.ready()).await?;
                within("a reply", sender.send_request(http1_request(call))).await
            }
            Sender::Http2(sender) => {
                within("a free connection", sender.ready()).await?;
                within("a reply", sender.send_request(http2_request(call, self.scheme))).await
            }
        }
    }

    /// Opens a tunnel for a protocol by an extended CONNECT (RFC 8441), where the server grants it.
    ///
    /// # Errors
    /// The stream ended without a reply.
    ///
    /// # Panics
    /// On HTTP/1.
    pub async fn extended_connect(
        &mut self,
        protocol: &'static str,
        call: Call,
    ) -> hyper::Result<(Response<Incoming>, Option<TokioIo<Upgraded>>)> {
        let Sender::Http2(sender) = &mut self.sender else { panic!("HTTP/1 has another way") };
        within("a free connection", sender.ready()).await?;
        let mut request = http2_request(call, self.scheme);
        *request.method_mut() = http::Method::CONNECT;
        request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
        let mut response = within("a reply", sender.send_request(request)).await?;
        if !response.status().is_success() {
            return Ok((response, None));
        }
        let tunnel = hyper::upgrade::on(&mut response).await?;
        Ok((response, Some(TokioIo::new(tunnel))))
    }

    /// Another handle on the same HTTP/2 connection, for concurrent streams.
    ///
    /// # Panics
    /// On HTTP/1.
    #[must_use]
    pub fn another_stream(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else {
            panic!("HTTP/1 has one request at a time")
        };
        Client {
            sender: Sender::Http2(sender.clone()),
            scheme: self.scheme,
            certificate: self.certificate.clone(),
            protocol: self.protocol.clone(),
        }
    }

    /// Whether the server has closed the connection, or asked on HTTP/2 for no further streams and has
    /// finished those that there were.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// The server's certificate in DER; `None` without TLS.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The protocol that ALPN settled.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref().map(|protocol| std::str::from_utf8(protocol).unwrap())
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn http1_over<S>(stream: S) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

async fn http2_over<S>(stream: S) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(Sender::Http2(sender))
}

fn http1_request(call: Call) -> Request<TestBody> {
    let uri: Uri = call.path.parse().unwrap();
    let unknown_length = call.body.size_hint().exact().is_none();
    let mut request = request(call, uri);
    if unknown_length {
        // hyper would send a GET without its body.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    request
}

fn http2_request(call: Call, scheme: &str) -> Request<TestBody> {
    let uri: Uri = format!("{scheme}://{}{}", call.host, call.path).parse().unwrap();
    let mut request = request(call, uri);
    request.headers_mut().remove(HOST);
    request
}

fn request(call: Call, uri: Uri) -> Request<TestBody> {
    let mut request = Request::new(call.body);
    *request.method_mut() = call.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = call.headers;
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, call.host.parse().unwrap());
    }
    request
}
