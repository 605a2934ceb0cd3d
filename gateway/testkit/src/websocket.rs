//! An upstream that switches to WebSocket, and echoes what then comes, frames or not.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::patience::within;
use crate::raw::RawConnection;

/// The handshake of a client with the key of RFC 6455's example.
pub fn websocket_handshake(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// What a WebSocket upstream has got so far.
#[derive(Clone, Debug, Default)]
pub struct WebSocketSeen {
    /// The heads, byte for byte.
    pub heads: Vec<String>,
    /// What came after a head, of all connections.
    pub bytes: Vec<u8>,
    /// Connections accepted.
    pub connections: usize,
    /// Connections that have ended.
    pub ended: usize,
}

/// An upstream for WebSockets, on the test's own runtime. The last part of the path decides:
///
/// - `/refuse`: 403 and a body; the connection stays
/// - `/ok`: 200 and a body in the place of 101; the connection stays
/// - `/other`: 101 to another protocol
/// - `/bad-accept`: 101 with a wrong `Sec-WebSocket-Accept`
/// - `/hold`: 101 when the test calls [`WebSocketUpstream::release`]
/// - `/greet`: 101 and `hello` in one write, then the echo
/// - `/bye`: 101, `bye`, its own end; then it takes what comes
/// - `/reset`: 101, then a reset at the first byte
/// - anything else: 101, then every byte comes back; at the end `[end]` and its own
#[derive(Debug)]
pub struct WebSocketUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<watch::Sender<WebSocketSeen>>,
    releases: Arc<watch::Sender<u64>>,
    task: AbortHandle,
}

impl WebSocketUpstream {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(WebSocketSeen::default()));
        let releases = Arc::new(watch::Sender::new(0));
        let (noting, releasing) = (seen.clone(), releases.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, releases) = (noting.clone(), releasing.subscribe());
                seen.send_modify(|seen| seen.connections += 1);
                tokio::spawn(async move {
                    let _gone = serve(stream, &seen, releases).await;
                    seen.send_modify(|seen| seen.ended += 1);
                });
            }
        });
        WebSocketUpstream { address, seen, releases, task: accepting.abort_handle() }
    }

    /// What it has got so far.
    pub fn seen(&self) -> WebSocketSeen {
        self.seen.borrow().clone()
    }

    /// Awaits the moment when what it has got fulfils a condition.
    pub async fn until(&self, condition: impl FnMut(&WebSocketSeen) -> bool) -> WebSocketSeen {
        let mut watcher = self.seen.subscribe();
        let seen = within("what the upstream should get", watcher.wait_for(condition)).await;
        seen.unwrap().clone()
    }

    /// Lets the held handshakes go on.
    pub fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }
}

impl Drop for WebSocketUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    seen: &watch::Sender<WebSocketSeen>,
    mut releases: watch::Receiver<u64>,
) -> std::io::Result<()> {
    let mut connection = RawConnection::over(stream);
    loop {
        let head = connection.read_head().await;
        if !head.ends_with("\r\n\r\n") {
            return Ok(());
        }
        seen.send_modify(|seen| seen.heads.push(head.clone()));
        let path = head.split(' ').nth(1).unwrap_or_default();
        skip_body(&mut connection, &head).await?;
        let switched = switched(&head);
        match path.rsplit('/').next().unwrap_or_default() {
            "refuse" => connection.send(full("403 Forbidden", "refused")).await?,
            "ok" => connection.send(full("200 OK", "no tunnel")).await?,
            "other" => connection.send(switched.replace(": websocket", ": h2c")).await?,
            "bad-accept" => connection.send(switched.replace("Accept: ", "Accept: x")).await?,
            "hold" => {
                releases.changed().await.map_err(std::io::Error::other)?;
                connection.send(switched).await?;
                return echo(connection.into_stream(), seen).await;
            }
            "greet" => {
                connection.send(switched + "hello").await?;
                return echo(connection.into_stream(), seen).await;
            }
            "bye" => {
                connection.send(switched + "bye").await?;
                connection.finish_sending().await?;
                return take(connection.into_stream(), seen).await;
            }
            "reset" => {
                connection.send(switched).await?;
                connection.read_exactly(1).await?;
                return connection.into_stream().set_zero_linger();
            }
            _ => {
                connection.send(switched).await?;
                return echo(connection.into_stream(), seen).await;
            }
        }
    }
}

/// Reads the body of a request that is none for a WebSocket, as far as tests send any.
async fn skip_body(connection: &mut RawConnection, head: &str) -> std::io::Result<()> {
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        connection.read_head().await;
    }
    let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
    connection.read_exactly(length.map_or(0, |length| length.parse().unwrap())).await?;
    Ok(())
}

fn full(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The 101 that answers a handshake; 400 where it is none.
fn switched(head: &str) -> String {
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    };
    let is_asked = field("upgrade") == "websocket" && field("connection") == "upgrade";
    if !is_asked || field("sec-websocket-key").len() != 24 {
        return full("400 Bad Request", head);
    }
    let joined = field("sec-websocket-key").to_owned() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

async fn echo(mut stream: TcpStream, seen: &watch::Sender<WebSocketSeen>) -> std::io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            stream.write_all(b"[end]").await?;
            return stream.shutdown().await;
        }
        seen.send_modify(|seen| seen.bytes.extend_from_slice(&piece[..length]));
        stream.write_all(&piece[..length]).await?;
    }
}

async fn take(mut stream: TcpStream, seen: &watch::Sender<WebSocketSeen>) -> std::io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        seen.send_modify(|seen| seen.bytes.extend_from_slice(&piece[..length]));
    }
}
