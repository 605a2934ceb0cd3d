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

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};

    use super::*;

    /// What comes of asking a server that answers with this body and these trailers.
    async fn answered(
        asked: Asked<'_>,
        status: StatusCode,
        body: &'static [u8],
        grpc_status: Option<&'static str>,
    ) -> Result<(), String> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let answering = async {
            let mut server = h2::server::handshake(theirs).await.unwrap();
            let (request, mut reply) = server.accept().await.unwrap().unwrap();
            assert_eq!(request.uri().authority().unwrap(), "shop.example");
            let head = Response::builder().status(status).body(()).unwrap();
            let mut out = reply.send_response(head, false).unwrap();
            out.send_data(Bytes::from_static(body), grpc_status.is_none()).unwrap();
            if let Some(code) = grpc_status {
                let trailers = [("grpc-status".parse().unwrap(), HeaderValue::from_static(code))];
                out.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
            }
            // Until the client has what it wants.
            while server.accept().await.is_some() {}
        };
        let asking = ask_http2(ours, asked, "http", "shop.example");
        tokio::join!(asking, answering).0
    }

    #[tokio::test]
    async fn a_path_is_judged_by_its_status() {
        let ask = async |status| answered(Asked::Path("/healthz"), status, b"x", None).await;
        assert_eq!(ask(StatusCode::OK).await, Ok(()));
        assert_eq!(ask(StatusCode::NOT_FOUND).await, Err("status 404".to_owned()));
    }

    #[tokio::test]
    async fn a_grpc_server_has_to_say_that_it_serves() {
        let ask =
            async |body, code| answered(Asked::Service("shop"), StatusCode::OK, body, code).await;
        assert_eq!(ask(b"\0\0\0\0\x02\x08\x01", Some("0")).await, Ok(()));
        let not_serving = ask(b"\0\0\0\0\x02\x08\x02", Some("0")).await;
        assert_eq!(not_serving, Err("NOT_SERVING".to_owned()));
        assert!(ask(b"", Some("12")).await.unwrap_err().contains("no grpc.health.v1"));
        assert!(ask(b"", Some("5")).await.unwrap_err().contains("does not know"));
        assert_eq!(ask(b"\0\0\0\0\x02\x08\x01", None).await, Err("not gRPC".to_owned()));
        assert!(ask(b"\0\0\0\0\x02\x08", Some("0")).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_http2_is_no_answer() {
        let asked = Asked::Path("/");
        assert!(ask_http2(tokio::io::empty(), asked, "http", "shop.example").await.is_err());
    }
}
