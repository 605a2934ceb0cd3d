//! Requests that are given up at any moment, and upstreams that do anything: every count comes back, and no request gets
//! what belongs to another.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use portcullis_message::Body;
use portcullis_model as model;
use portcullis_model::{ConnectionPool, UpstreamProtocol};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_local};

use crate::random::seeded;
use crate::test_upstream::{PlayedConnection, on_worker};
use crate::{Cluster, Endpoint, Pools, RequestBody, Spoken};

const CLIENTS: u64 = 6;
const REQUESTS: u64 = 20;

/// A draw of a number below another.
type Draw = Rc<dyn Fn(u64) -> u64>;

/// Draws that depend on the seed alone.
fn draws(seed: u64) -> Draw {
    let state = Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    Rc::new(move |below| {
        let drawn = seeded(state.get())(u64::MAX);
        state.set(drawn | 1);
        (drawn >> 11) % below
    })
}

/// A future that is dropped when it was polled so often.
struct Cut<F> {
    future: Pin<Box<F>>,
    polls: u64,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls -= 1;
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[derive(Clone)]
struct Scene {
    pools: Pools,
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    spoken: Spoken,
}

/// A request of this number; its reply has to say the same. Some are cut off, and none waits for long.
async fn ask(scene: Scene, draw: Draw, number: u64) {
    let body: Body = match draw(3) {
        0 => Bytes::from(vec![b'x'; 1 + draw(9_000) as usize]).into(),
        _ => Body::Empty,
    };
    let request = Request::builder().method(Method::PUT).uri(format!("/{number}"));
    let request = request.header("host", "shop.example").body(RequestBody::new(body)).unwrap();
    let exchange = async {
        let Scene { pools, cluster, endpoint, spoken } = &scene;
        let lease = pools.checkout(cluster, endpoint, *spoken).await.ok()?;
        let reply = lease.send(request).await.ok()?.into_body();
        Some(reply.collect().await.ok()?.to_bytes())
    };
    let polls = if draw(2) == 0 { 1 + draw(12) } else { u64::MAX };
    let cut = Cut { future: Box::pin(exchange), polls };
    if let Ok(Some(Some(reply))) = tokio::time::timeout(Duration::from_millis(20), cut).await {
        assert_eq!(reply, format!("reply to {number}"));
    }
}

/// Runs all requests of a seed, and looks what is left.
fn run(seed: u64, spoken: Spoken, pool: ConnectionPool, serve: fn(TcpStream, Draw)) {
    on_worker(async move {
        let draw = draws(seed);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = model::Cluster {
            pool,
            protocol: UpstreamProtocol::Http2,
            ..model::Cluster::for_test(&[(listener.local_addr().unwrap(), 1)])
        };
        let for_upstream = draw.clone();
        let accepting = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, for_upstream.clone());
            }
        });
        let cluster = Cluster::new(&Arc::new(settings), None);
        let endpoint = cluster.endpoints().remove(0);
        let scene = Scene { pools: Pools::new(), cluster, endpoint, spoken };
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (scene, draw) = (scene.clone(), draw.clone());
            clients.spawn_local(async move {
                for number in 0..REQUESTS {
                    ask(scene.clone(), draw.clone(), client * REQUESTS + number).await;
                }
            });
        }
        clients.join_all().await;
        assert_eq!(scene.endpoint.active(), 0, "{seed}");
        // Connects that no request waits for end by themselves; they have their place in the limit before they are open.
        let is_quiet = || {
            scene.endpoint.connections() == 0 && scene.cluster.limits().all(|limit| limit.now == 0)
        };
        let quiet = async {
            while !is_quiet() {
                scene.pools.close_idle();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let quiet = tokio::time::timeout(Duration::from_secs(20), quiet).await;
        assert!(quiet.is_ok(), "{seed} {:?}", scene.cluster.limits().collect::<Vec<_>>());
        accepting.abort();
    });
}

fn pools() -> [ConnectionPool; 2] {
    let limited = ConnectionPool {
        max_connections: Some(3),
        max_pending: Some(4),
        max_requests: Some(5),
        max_requests_per_connection: Some(7),
        max_concurrent_streams: Some(2),
        ..ConnectionPool::default()
    };
    [ConnectionPool::default(), limited]
}

fn serve_http1(stream: TcpStream, draw: Draw) {
    spawn_local(async move {
        let mut connection = PlayedConnection(stream);
        while let Some(number) = read_number(&mut connection).await {
            let body = format!("reply to {number}");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", body.len());
            let whole = match draw(12) {
                0 => return,
                1 => return connection.reset(),
                2 => return std::future::pending().await,
                3 => format!("HTTP/1.1 103 Early Hints\r\n\r\n{head}\r\n{body}"),
                4 => format!("{head}connection: close\r\n\r\n{body}"),
                5 => format!("{head}\r\n{}", &body[..3]),
                // Said out of turn: nobody may get it.
                6 => {
                    let more = format!("{head}\r\n{body}{head}\r\nevil to {number}");
                    let _ = connection.0.write_all(more.as_bytes()).await;
                    continue;
                }
                _ => format!("{head}\r\n{body}"),
            };
            let (first, rest) = whole.split_at(draw(whole.len() as u64) as usize);
            for part in [first, rest] {
                if connection.0.write_all(part.as_bytes()).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if whole.len() < body.len() + head.len() {
                return;
            }
        }
    });
}

/// The number in the next request's path; `None` at the end. Its body is read, too.
async fn read_number(connection: &mut PlayedConnection) -> Option<String> {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.0.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or("0", |rest| rest.split("\r\n").next().unwrap());
    let mut body = vec![0; length.parse().unwrap()];
    connection.0.read_exact(&mut body).await.ok()?;
    Some(head.split('/').nth(1)?.split(' ').next()?.to_owned())
}

fn serve_http2(stream: TcpStream, draw: Draw) {
    spawn_local(async move {
        let mut builder = h2::server::Builder::new();
        let mut connection = builder
            .max_concurrent_streams(1 + draw(4) as u32)
            .handshake::<_, Bytes>(stream)
            .await?;
        while let Some(accepted) = connection.accept().await {
            let (request, reply) = accepted?;
            match draw(30) {
                0 => connection.graceful_shutdown(),
                1 => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                2 => return Ok(()),
                _ => answer_http2(request, reply, draw.clone()),
            }
        }
        Ok::<_, h2::Error>(())
    });
}

fn answer_http2(request: Request<h2::RecvStream>, mut reply: SendResponse<Bytes>, draw: Draw) {
    spawn_local(async move {
        let body = format!("reply to {}", &request.uri().path()[1..]);
        match draw(12) {
            0 => return reply.send_reset(Reason::REFUSED_STREAM),
            1 => return reply.send_reset(Reason::INTERNAL_ERROR),
            2 => return std::future::pending().await,
            _ => {}
        }
        tokio::task::yield_now().await;
        let Ok(mut stream) = reply.send_response(Response::new(()), false) else { return };
        let (first, rest) = body.split_at(draw(body.len() as u64) as usize);
        let _ = stream.send_data(Bytes::copy_from_slice(first.as_bytes()), false);
        tokio::task::yield_now().await;
        match draw(8) {
            0 => stream.send_reset(Reason::CANCEL),
            _ => drop(stream.send_data(Bytes::copy_from_slice(rest.as_bytes()), true)),
        }
    });
}

#[test]
fn over_http1_every_count_comes_back_and_no_reply_goes_astray() {
    for pool in pools() {
        (0..8).for_each(|seed| run(seed, Spoken::Http1, pool.clone(), serve_http1));
    }
}

#[test]
fn over_http2_every_count_comes_back_and_no_reply_goes_astray() {
    for pool in pools() {
        (0..8).for_each(|seed| run(seed, Spoken::Http2, pool.clone(), serve_http2));
    }
}
