//! A small HTTPS server whose answers a test writes, lies included.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificates;
use crate::tls_acceptor::tls_acceptor;

/// A server that answers one request on each connection.
#[derive(Debug)]
pub struct HttpsServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<HttpsRequest>>>,
}

/// A request that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsRequest {
    /// `GET` and the like.
    pub method: String,
    /// With its query.
    pub path: String,
    /// `Authorization`
    pub authorization: Option<String>,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// As long as its `Content-Length` says.
    pub body: Vec<u8>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct HttpsAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    claimed: Option<usize>,
    silent: bool,
}

impl HttpsAnswer {
    /// 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        HttpsAnswer { status, headers: Vec::new(), body: Vec::new(), claimed: None, silent: false }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(307).header("location", to)
    }

    /// Nothing at all; the connection stays open.
    pub fn silent() -> Self {
        HttpsAnswer { silent: true, ..Self::status(200) }
    }

    /// With a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// That says it is longer than it is, and ends.
    #[must_use]
    pub fn claiming(mut self, length: usize) -> Self {
        self.claimed = Some(length);
        self
    }
}

impl HttpsServer {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(
        own: &Certificates,
        answer: impl Fn(&HttpsRequest) -> HttpsAnswer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls_acceptor(own);
        let seen: Arc<Mutex<Vec<HttpsRequest>>> = Arc::default();
        let (answer, noted) = (Arc::new(answer), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, noted) = (acceptor.clone(), answer.clone(), noted.clone());
                tokio::spawn(async move {
                    let note = move |request: &HttpsRequest| {
                        noted.lock().unwrap().push(request.clone());
                        answer(request)
                    };
                    // A client that hangs up has seen enough.
                    let _ = serve(acceptor, stream, note).await;
                });
            }
        });
        HttpsServer { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `localhost` and its port.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Each request so far.
    pub fn seen(&self) -> Vec<HttpsRequest> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    answer: impl FnOnce(&HttpsRequest) -> HttpsAnswer,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (mut request, length) = parse(&String::from_utf8_lossy(&head));
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    let is_head = request.method == "HEAD";
    let answer = answer(&request);
    if answer.silent {
        return stream.read_u8().await.map(|_| ());
    }
    let length = answer.claimed.unwrap_or(answer.body.len());
    let mut reply = format!(
        "HTTP/1.1 {} Answer\r\ncontent-length: {length}\r\nconnection: close\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        reply.push_str(&format!("{name}: {value}\r\n"));
    }
    reply.push_str("\r\n");
    stream.write_all(reply.as_bytes()).await?;
    if !is_head {
        stream.write_all(&answer.body).await?;
    }
    stream.shutdown().await
}

/// The request without its body, and how long that is.
fn parse(head: &str) -> (HttpsRequest, usize) {
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let (authorization, content_type) = (field("authorization"), field("content-type"));
    (HttpsRequest { method, path, authorization, content_type, body: Vec::new() }, length)
}
