//! A service that a suite scripts: it keeps what it was asked, and answers what the case says.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_model::parse_duration;
use tokio::net::TcpListener;

use crate::expectation::mismatches;
use crate::message::{Message, PiecedBody, header_map};
use crate::none_or::NoneOr;
use crate::suite::{Response, ScriptedCall};

/// A service on loopback, for all cases one after the other.
#[derive(Clone, Debug)]
pub(crate) struct ScriptedServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

/// What one case says of it, and what it has seen.
#[derive(Debug, Default)]
struct Script {
    calls: Vec<ScriptedCall>,
    seen: Vec<Message>,
    complaints: Vec<String>,
}

impl ScriptedServer {
    /// Starts one on a free port; it lives as long as the runtime.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = ScriptedServer { address: listener.local_addr()?, script: Arc::default() };
        tokio::spawn(accept(listener, server.script.clone()));
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next case: what was seen before is forgotten.
    pub(crate) fn begin(&self, calls: Vec<ScriptedCall>) {
        *lock(&self.script) = Script { calls, ..Script::default() };
    }

    /// What it was asked since then.
    pub(crate) fn seen(&self) -> Vec<Message> {
        lock(&self.script).seen.clone()
    }

    /// The requests that fitted nothing of the script.
    pub(crate) fn complaints(&self) -> Vec<String> {
        lock(&self.script).complaints.clone()
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = script.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, script.clone()));
            // A gateway that closes is no failure of the service.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// A request whose body breaks off was not sent: nothing of it is kept.
async fn answer(
    request: http::Request<Incoming>,
    script: Arc<Mutex<Script>>,
) -> Result<http::Response<PiecedBody>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let message = Message {
        method: Some(head.method.to_string()),
        path: head.uri.path_and_query().map(ToString::to_string),
        status: None,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    };
    let answer = lock(&script).answer_to(message);
    match answer {
        NoneOr::None => std::future::pending().await,
        NoneOr::This(response) => {
            if let Some(after) =
                response.after.as_deref().and_then(|text| parse_duration(text).ok())
            {
                tokio::time::sleep(after).await;
            }
            Ok(respond(&response))
        }
    }
}

impl Script {
    /// The first scripted answer that fits.
    fn answer_to(&mut self, message: Message) -> NoneOr<Response> {
        let mut reasons = Vec::new();
        let mut answer = None;
        for call in &self.calls {
            match mismatches(&call.expect, &message).into_iter().next() {
                None => {
                    answer = Some(
                        call.answer.clone().unwrap_or_else(|| NoneOr::This(Response::default())),
                    );
                    break;
                }
                Some(reason) => reasons.push(reason),
            }
        }
        if answer.is_none() {
            let what = message.method.as_deref().unwrap_or_default();
            let path = message.path.as_deref().unwrap_or_default();
            let why = if reasons.is_empty() {
                "no answer is scripted".to_owned()
            } else {
                reasons.join("; ")
            };
            self.complaints.push(format!("{what} {path} was not expected: {why}"));
        }
        self.seen.push(message);
        answer.unwrap_or_else(|| NoneOr::This(Response { status: 500, ..Response::default() }))
    }
}

/// What is no response was refused when the suite was read.
fn respond(response: &Response) -> http::Response<PiecedBody> {
    let mut reply = http::Response::new(PiecedBody::of(&response.body));
    *reply.status_mut() = http::StatusCode::from_u16(response.status).unwrap_or_default();
    *reply.headers_mut() = header_map(&response.headers).unwrap_or_default();
    reply
}
