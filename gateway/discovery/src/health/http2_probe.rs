//! Asking over HTTP/2: a path, or a gRPC server by `grpc.health.v1`.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use http::{HeaderMap, Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::grpc_health::{CheckReply, Serving, check_request};
use super::http_probe::{ASKER, judge};

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// What an answer's head may take up.
const MOST_HEAD: u32 = 16 << 10;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked<'a> {
    /// `GET` of this path: 2xx is good.
    Path(&'a str),
    /// `grpc.health.v1.Health/Check` of this service: SERVING is good.
    Service(&'a str),
}

/// Whether the answer is good. The connection is not used again.
pub(crate) async fn ask_http2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    asked: Asked<'_>,
    scheme: &str,
    host: &str,
) -> Result<(), String> {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).max_header_list_size(MOST_HEAD);
    let (mut client, connection) =
        builder.handshake::<_, Bytes>(stream).await.map_err(|error| error.to_string())?;
    let asking = async {
        let request = request(asked, scheme, host)?;
        let is_end = matches!(asked, Asked::Path(_));
        let sent = client.send_request(request, is_end);
        let (reply, mut body) = sent.map_err(|error| error.to_string())?;
        match asked {
            Asked::Path(_) => judge(head(reply).await?.0.status),
            Asked::Service(service) => {
                let sent = body.send_data(check_request(service), true);
                sent.map_err(|error| error.to_string())?;
                is_serving(reply).await
            }
        }
    };
    tokio::select! {
        answer = asking => answer,
        // It has ended before the answer came.
        ended = connection => Err(match ended {
            Ok(()) => "closed without an answer".to_owned(),
            Err(error) => error.to_string(),
        }),
    }
}

async fn head(reply: ResponseFuture) -> Result<(http::response::Parts, RecvStream), String> {
    reply.await.map(http::Response::into_parts).map_err(|error| error.to_string())
}

async fn is_serving(reply: ResponseFuture) -> Result<(), String> {
    let (head, mut body) = head(reply).await?;
    judge(head.status)?;
    let mut answer = CheckReply::default();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| error.to_string())?;
        answer.push(&piece)?;
        // What is read makes room for more.
        let _ = body.flow_control().release_capacity(piece.len());
    }
    let trailers = body.trailers().await.map_err(|error| error.to_string())?;
    check_status(trailers.as_ref().unwrap_or(&head.headers))?;
    match answer.read()? {
        Serving::Yes => Ok(()),
        Serving::No => Err("NOT_SERVING".to_owned()),
        Serving::Unknown => Err("its health is unknown".to_owned()),
    }
}

fn check_status(trailers: &HeaderMap) -> Result<(), String> {
    match trailers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        Some(b"5") => Err("it does not know the service (gRPC status 5)".to_owned()),
        Some(b"12") => Err("it has no grpc.health.v1 (gRPC status 12)".to_owned()),
        Some(code) => Err(format!("gRPC status {}", code.escape_ascii())),
        None => Err("not gRPC".to_owned()),
    }
}

fn request(asked: Asked<'_>, scheme: &str, host: &str) -> Result<Request<()>, String> {
    let (method, path) = match asked {
        Asked::Path(path) => (Method::GET, path),
        Asked::Service(_) => (Method::POST, CHECK),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{scheme}://{host}{path}"))
        .header(USER_AGENT, ASKER);
    if matches!(asked, Asked::Service(_)) {
        request = request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
    }
    request.body(()).map_err(|error| error.to_string())
}
