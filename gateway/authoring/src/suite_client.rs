//! The client of a suite: one request on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::message::{Message, PiecedBody, header_map};
use crate::suite::Request;
use crate::suite_token::bearer;

/// Longer than any limit of a filter that is met on the way.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request and reads the whole response.
///
/// # Errors
/// Says why there is no whole response.
pub(crate) async fn send(address: SocketAddr, request: &Request) -> Result<Message, String> {
    let request = build(request)?;
    tokio::time::timeout(PATIENCE, exchange(address, request))
        .await
        .map_err(|_| format!("there was no response within {} s", PATIENCE.as_secs()))?
}

/// A GET of a page of an admin or metrics port, as text.
pub(crate) async fn read_page(address: SocketAddr, path: &str) -> Result<String, String> {
    let request =
        Request { path: path.to_owned(), host: address.to_string(), ..Request::default() };
    let page = send(address, &request).await?;
    Ok(String::from_utf8_lossy(&page.body).into_owned())
}

async fn exchange(
    address: SocketAddr,
    request: http::Request<PiecedBody>,
) -> Result<Message, String> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no connection: {error}"))?;
    // What ends the connection ends the response, which says so.
    tokio::spawn(connection);
    let response =
        sender.send_request(request).await.map_err(|error| format!("no response: {error}"))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| format!("the response breaks off: {error}"))?;
    Ok(Message {
        status: Some(head.status.as_u16()),
        headers: head.headers,
        body: body.to_bytes(),
        ..Message::default()
    })
}

fn build(request: &Request) -> Result<http::Request<PiecedBody>, String> {
    let mut built = http::Request::new(PiecedBody::of(&request.body));
    *built.method_mut() = Method::try_from(request.method.as_str())
        .map_err(|_| format!("`{}` is no method", request.method))?;
    *built.uri_mut() = Uri::try_from(request.path.as_str())
        .map_err(|_| format!("`{}` is no path", request.path))?;
    *built.headers_mut() = header_map(&request.headers)?;
    let host = HeaderValue::try_from(request.host.as_str())
        .map_err(|_| format!("`{}` is no host", request.host))?;
    built.headers_mut().insert(HOST, host);
    if let Some(claims) = &request.claims {
        let token = HeaderValue::try_from(bearer(claims)).map_err(|error| error.to_string())?;
        built.headers_mut().insert(AUTHORIZATION, token);
    }
    Ok(built)
}
