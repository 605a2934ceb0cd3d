//! Upstreams that break: each request is answered as the test says, and every one that arrives whole is noted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;

/// What becomes of a request that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: 200 with the path as JSON, and the method.
    None,
    /// 200, after which the connection is closed without having said so.
    CloseAfterReply,
    /// Closed without a reply.
    Close,
    /// Reset without a reply.
    Reset,
    /// Reset in the middle of the reply's head.
    ResetInHead,
    /// Reset in the middle of the reply's body.
    ResetInBody,
    /// No reply, ever.
    Stall,
    /// A reply's head and a part of its body, then nothing.
    StallInBody,
    /// This status, with an empty body.
    Status(u16),
    /// This status with this `Retry-After`.
    RetryAfter(u16, &'static str),
    /// These bytes, then the end of the connection.
    Says(&'static str),
    /// A head of a mebibyte.
    HugeHead,
    /// More interim replies than anybody waits through.
    Interim,
    /// 413 before the body is read.
    Early,
}

/// An upstream that breaks as its plan says. It lives on the test's own runtime.
#[derive(Debug)]
pub struct FaultyUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    plan: Box<dyn Fn(usize) -> Fault + Send + Sync>,
    requests: AtomicUsize,
    executed: Mutex<HashMap<String, usize>>,
    heads: Mutex<Vec<String>>,
}

impl Shared {
    fn note(&self, name: &str, head: String) {
        let mut executed = self.executed.lock().unwrap_or_else(PoisonError::into_inner);
        *executed.entry(name.to_owned()).or_default() += 1;
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} requests", self.requests)
    }
}

impl FaultyUpstream {
    /// One that does to its `n`-th request (from 0) what the plan says.
    pub async fn start(plan: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            requests: AtomicUsize::new(0),
            executed: Mutex::default(),
            heads: Mutex::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _delayed = stream.set_nodelay(true);
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        FaultyUpstream { address, shared, task: accepting.abort_handle() }
    }

    /// One that does the same to each.
    pub async fn always(fault: Fault) -> Self {
        FaultyUpstream::start(move |_| fault).await
    }

    /// How many requests arrived.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How often each request arrived, by its method and path.
    pub fn executed(&self) -> HashMap<String, usize> {
        self.shared.executed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The heads that arrived, byte for byte.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultyUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens, and nobody else will while this lives.
#[derive(Debug)]
pub struct Refusing {
    /// Where connections are refused.
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl Refusing {
    /// Takes one.
    pub fn open() -> Self {
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Refusing { address: bound.local_addr().unwrap(), _bound: bound }
    }
}

/// A listener that takes no connection and refuses none: its queue is full.
#[derive(Debug)]
pub struct Blackhole {
    /// Where nobody answers.
    pub address: SocketAddr,
    _listener: Socket,
    _queued: Vec<std::net::TcpStream>,
}

impl Blackhole {
    /// Opens one.
    pub fn open() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        // Until one more is not taken.
        while let Ok(stream) =
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
        {
            queued.push(stream);
        }
        Blackhole { address, _listener: listener, _queued: queued }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut connection = BufReader::new(stream);
    while let Some(head) = read_head(&mut connection).await {
        let fault = (shared.plan)(shared.requests.fetch_add(1, Ordering::Relaxed));
        if fault != Fault::Early && skip_body(&head, &mut connection).await.is_none() {
            return;
        }
        let name: Vec<&str> = head.split(' ').take(2).collect();
        let name = name.join(" ");
        shared.note(&name, head);
        if answer(connection.get_mut(), fault, &name).await == Next::Close {
            return;
        }
    }
}

#[derive(PartialEq)]
enum Next {
    Request,
    Close,
}

async fn answer(stream: &mut TcpStream, fault: Fault, name: &str) -> Next {
    let (method, path) = name.split_once(' ').unwrap_or((name, ""));
    let body = format!("{{\"method\":\"{method}\",\"path\":\"{path}\"}}");
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart";
    let says = match fault {
        Fault::None | Fault::CloseAfterReply => whole,
        Fault::Close | Fault::Reset | Fault::Stall => String::new(),
        Fault::ResetInHead => "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        Fault::ResetInBody | Fault::StallInBody => cut.to_owned(),
        Fault::Status(status) => format!("HTTP/1.1 {status} As-Told\r\ncontent-length: 0\r\n\r\n"),
        Fault::RetryAfter(status, after) => {
            format!(
                "HTTP/1.1 {status} As-Told\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n"
            )
        }
        Fault::Says(text) => text.to_owned(),
        Fault::HugeHead => format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
        Fault::Interim => "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000),
        Fault::Early => "HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge".to_owned(),
    };
    // Whoever reads may have gone.
    let _gone = stream.write_all(says.as_bytes()).await;
    match fault {
        Fault::None | Fault::Status(_) | Fault::RetryAfter(..) => Next::Request,
        Fault::Reset | Fault::ResetInHead | Fault::ResetInBody => {
            // What was written is to arrive before the reset takes it away.
            tokio::time::sleep(Duration::from_millis(5)).await;
            SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
            Next::Close
        }
        Fault::Stall | Fault::StallInBody => {
            let mut rest = Vec::new();
            let _gone = stream.read_to_end(&mut rest).await;
            Next::Close
        }
        _ => Next::Close,
    }
}

async fn read_head(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Reads a body whose length is said, or that comes in chunks.
async fn skip_body(head: &str, connection: &mut BufReader<TcpStream>) -> Option<()> {
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        let mut body = vec![0; length.trim().parse().ok()?];
        connection.read_exact(&mut body).await.ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        let mut line = String::new();
        while line != "0\r\n" {
            line.clear();
            if connection.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            if size > 0 {
                connection.read_exact(&mut vec![0; size + 2]).await.ok()?;
            }
        }
        connection.read_line(&mut line).await.ok()?;
    }
    Some(())
}
