//! The example upstream of `plugin dev`: it says what arrived.

use std::convert::Infallible;
use std::net::SocketAddr;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::message::PiecedBody;
use crate::one_or_more::OneOrMore;

/// Starts one on a free port; it lives as long as the runtime.
pub(crate) async fn start_echo() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A gateway that closes is no failure of the upstream.
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)),
            );
        }
    });
    Ok(address)
}

async fn echo(request: http::Request<Incoming>) -> Result<http::Response<PiecedBody>, Infallible> {
    let (head, body) = request.into_parts();
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match headers.get_mut(name.as_str()) {
            Some(Value::String(first)) => *first = format!("{first}, {value}"),
            _ => drop(headers.insert(name.to_string(), value.into())),
        }
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let said = json!({
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut reply = http::Response::new(PiecedBody::of(&OneOrMore::One(format!("{said:#}\n"))));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(reply)
}
