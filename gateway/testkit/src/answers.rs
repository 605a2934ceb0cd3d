//! What a fake upstream answers.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRAILER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use crate::body::TestBody;
use crate::seen::Shared;

/// The reply to a request; an error closes the connection without one.
pub(crate) async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> io::Result<Response<TestBody>> {
    shared.note(|seen| seen.requests += 1);
    let asked = wanted_fields(request.headers());
    let mut response = reply(request, &shared).await?;
    response.headers_mut().insert("x-upstream", shared.name.parse().unwrap());
    response.headers_mut().extend(asked);
    Ok(response)
}

async fn reply(request: Request<Incoming>, shared: &Arc<Shared>) -> io::Result<Response<TestBody>> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    match (parts.next().unwrap_or(""), parts.next()) {
        ("status", Some(code)) => Ok(status(code, &shared.name)),
        ("stream", Some(mebibytes)) => Ok(stream(mebibytes, shared.clone())),
        ("sink", None) => sink(request, shared).await,
        ("trailers", None) => Ok(trailers()),
        ("slow", None) => {
            shared.hold().await;
            Ok(Response::new("released".into()))
        }
        ("drip", None) => Ok(drip(shared.clone())),
        ("early", None) => Ok(status("413", "too large")),
        ("close", None) => Err(io::Error::other("closed as asked")),
        ("break", None) => Ok(broken()),
        _ => echo(request, shared).await,
    }
}

/// What the request wants to see in the reply: `x-reply-NAME: value`.
fn wanted_fields(headers: &HeaderMap) -> HeaderMap {
    let wanted = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-reply-")?;
        Some((name.parse::<HeaderName>().ok()?, value.clone()))
    });
    wanted.collect()
}

fn status(code: &str, text: &str) -> Response<TestBody> {
    let mut response = Response::new(text.to_owned().into());
    *response.status_mut() = code.parse().unwrap_or(StatusCode::BAD_REQUEST);
    response
}

fn stream(mebibytes: &str, shared: Arc<Shared>) -> Response<TestBody> {
    const FRAME: usize = 64 << 10;
    let frames = mebibytes.parse().unwrap_or(0_u64) * ((1 << 20) / FRAME as u64);
    let (writer, body) = TestBody::written();
    tokio::spawn(async move {
        for _ in 0..frames {
            if writer.send(Ok(Bytes::from_static(&[0; FRAME]))).await.is_err() {
                return;
            }
            shared.note(|seen| seen.streamed += FRAME as u64);
        }
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(frames * FRAME as u64));
    response
}

async fn sink(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<TestBody>> {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            length += data.len() as u64;
            shared.note(|seen| seen.uploaded += data.len() as u64);
        }
    }
    Ok(json_reply(&json!({ "upstream": shared.name, "body_length": length })))
}

fn trailers() -> Response<TestBody> {
    let mut fields = HeaderMap::new();
    fields.insert("x-checksum", HeaderValue::from_static("42"));
    let mut response = Response::new(TestBody::from("with trailers").with_trailers(fields));
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-checksum"));
    response
}

fn drip(shared: Arc<Shared>) -> Response<TestBody> {
    let (writer, body) = TestBody::written();
    tokio::spawn(async move {
        let _gone = writer.send(Ok(Bytes::from_static(b"first,"))).await;
        tokio::select! {
            () = shared.hold() => {}
            () = writer.closed() => return,
        }
        let _gone = writer.send(Ok(Bytes::from_static(b"second"))).await;
    });
    Response::new(body)
}

fn broken() -> Response<TestBody> {
    let (writer, body) = TestBody::written();
    tokio::spawn(async move {
        let _gone = writer.send(Ok(Bytes::from_static(b"part"))).await;
        // Once it is taken it is also sent: the connection's task is on this very thread.
        while writer.capacity() < writer.max_capacity() && !writer.is_closed() {
            tokio::task::yield_now().await;
        }
        let _gone = writer.send(Err(io::Error::other("broken as asked"))).await;
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1000"));
    response
}

async fn echo(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<TestBody>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?;
    let trailers = body.trailers().map(fields);
    let body = body.to_bytes();
    Ok(json_reply(&json!({
        "upstream": shared.name,
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": fields(&head.headers),
        "body": String::from_utf8_lossy(&body),
        "body_length": body.len(),
        "trailers": trailers,
    })))
}

fn json_reply(value: &Value) -> Response<TestBody> {
    let mut response = Response::new(value.to_string().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Names to values: a text, or a list of them where the name is repeated.
fn fields(headers: &HeaderMap) -> Value {
    let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let named = headers.keys().map(|name| {
        let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::from(values) };
        (name.to_string(), value)
    });
    Value::Object(named.collect::<Map<_, _>>())
}
