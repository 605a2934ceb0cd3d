//! What an upstream says over HTTP/2, whole and cut into pieces, to requests that wait for its reply.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderValue, Method, Request};
use http_body::Body as _;
use portcullis_message::Body;
use portcullis_model as model;
use portcullis_upstream::{Cluster, Endpoint, Pools, RequestBody, Spoken, UpstreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

/// A reply that is read to its end is as long as it said, and whatever came leaves nothing behind.
pub(crate) fn run(input: &[u8]) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let Ok(runtime) = runtime else { return };
    let input = Bytes::copy_from_slice(input);
    runtime.block_on(async {
        let Ok(listener) = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await else {
            return;
        };
        let Ok(address) = listener.local_addr() else { return };
        // A task of the runtime, as a worker's requests are.
        let asked = tokio::task::spawn_local(ask(address));
        let played = async {
            if let Ok((stream, _)) = listener.accept().await {
                play(stream, &input).await;
            }
        };
        let (asked, ()) = tokio::join!(asked, played);
        assert!(asked.is_ok(), "a request panicked");
    });
}

/// The upstream: says what it has to say, goes, and hears what there is to hear.
async fn play(mut stream: TcpStream, input: &[u8]) {
    let (size, bytes) = input.split_first().unwrap_or((&0, &[]));
    let (mut reading, mut writing) = stream.split();
    let says = async {
        for piece in bytes.chunks(usize::from(*size).max(1) * 64) {
            if writing.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _left = writing.shutdown().await;
    };
    let hears = async {
        let mut heard = [0; 1024];
        while matches!(reading.read(&mut heard).await, Ok(length) if length > 0) {}
    };
    tokio::join!(says, hears);
}

async fn ask(address: SocketAddr) {
    let pools = Pools::new();
    let cluster = Cluster::new(&Arc::new(model::Cluster::for_test(&[(address, 1)])), None);
    let Some(endpoint) = cluster.endpoints().pop() else { return };
    let exchange = |request| exchange(&pools, &cluster, &endpoint, request);
    let mut held = request(Method::PUT, Body::from(Bytes::from_static(b"held")));
    held.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
    tokio::join!(
        exchange(request(Method::GET, Body::Empty)),
        exchange(request(Method::HEAD, Body::Empty)),
        exchange(request(Method::POST, Body::from(Bytes::from_static(b"hello")))),
        exchange(held),
    );
    assert_eq!(endpoint.active(), 0, "a request is counted for ever");
}

fn request(method: Method, body: Body) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::new(body));
    *request.method_mut() = method;
    request.headers_mut().insert(HOST, HeaderValue::from_static("shop.example"));
    request
}

async fn exchange(
    pools: &Pools,
    cluster: &Arc<Cluster>,
    endpoint: &Arc<Endpoint>,
    request: Request<RequestBody>,
) {
    let is_head = request.method() == Method::HEAD;
    let Ok(lease) = pools.checkout(cluster, endpoint, Spoken::Http2).await else { return };
    let Ok(response) = lease.send(request).await else { return };
    let status = response.status();
    assert!(!status.is_informational(), "{status} is no reply");
    let said = response.headers().get(CONTENT_LENGTH).cloned();
    let said = said.and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    let without_body = is_head || matches!(status.as_u16(), 204 | 304);
    if let (Some(read), Some(said)) = (read_whole(response.into_body()).await, said) {
        assert!(read == said || without_body, "{read} bytes of {said} look whole");
    }
}

/// The length of a body that ended as it should.
async fn read_whole(body: UpstreamBody) -> Option<u64> {
    let mut body = std::pin::pin!(body);
    let mut length = 0;
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        length += frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Some(length)
}
