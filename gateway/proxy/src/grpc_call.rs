//! A plugin's calls over gRPC: one message, or a stream of them in both directions.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use portcullis_message::{BodySender, Demand, body_channel};
use portcullis_telemetry::CallProtocol;
use portcullis_upstream::UpstreamBody;
use portcullis_wasm::{Begun, Call, CallLine, GrpcFrames, Message, Room};
use tokio::task::spawn_local;

use crate::Worker;
use crate::call_tally::CallTally;
use crate::grpc::{GRPC_MESSAGE, GRPC_STATUS, grpc_status};
use crate::http_call::Ended;
use crate::plugin_call::{CallFailure, Piece, hand_over, next_piece, send_call, whole_body};
use crate::race::first_of;

/// The largest message that a plugin gets, in bytes.
const MOST_MESSAGE_BYTES: usize = 4 << 20;
const LONGEST: Duration = Duration::from_secs(3600);

/// How a call ended: a status of gRPC and its message.
struct Status {
    code: u32,
    message: Bytes,
}

const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const CANCELLED: u32 = 1;

/// Carries out a call of one message. The guest gets the reply's message, or a status; never both, as in Envoy.
pub(crate) async fn unary(worker: &Worker, begun: Begun) {
    let Begun { caller, call, line } = begun;
    let mut tally = CallTally::begin(&caller, CallProtocol::Grpc);
    let work = tokio::time::timeout(call.timeout.unwrap_or(LONGEST), one_message(worker, &call));
    let result = match first_of(line.hung_up(), work).await {
        Err(hangup) => match Ended::from(hangup) {
            Ended::Cancelled => return,
            Ended::Failed(failure) => Err(failure.into()),
        },
        Ok(Err(_late)) => Err(CallFailure::Timeout.into()),
        Ok(Ok(result)) => result,
    };
    match &result {
        Ok(_) => tally.answered(),
        Err(status) => status.count(&mut tally),
    }
    drop(tally);
    hand_over(worker, &caller, |caller| match result {
        Ok(message) => caller.on_grpc_message(call.id, message),
        Err(Status { code, message }) => caller.on_grpc_close(call.id, code, message),
    });
}

async fn one_message(worker: &Worker, call: &Call) -> Result<Bytes, Status> {
    let response = send_call(worker, call, whole_body(call)).await?;
    if let Some(status) = status_in(response.headers()) {
        return Err(status.or_missing_message());
    }
    check_head(&response)?;
    let mut body = response.into_body();
    let (mut frames, mut message) = (GrpcFrames::new(MOST_MESSAGE_BYTES), None);
    while let Some(piece) = next_piece(&mut body).await? {
        match piece {
            Piece::Data(data) => {
                take_in(&mut frames, &data, &call.room)?;
                while let Some(next) = frames.next_message().map_err(|_| Status::malformed())? {
                    // One that sends several has misunderstood what was asked.
                    if message.replace(next).is_some() {
                        return Err(Status::malformed());
                    }
                }
            }
            Piece::Trailers(trailers) => {
                let status = status_in(&trailers).unwrap_or_else(Status::missing);
                return match (status.code, message) {
                    (OK, Some(message)) => Ok(message),
                    _ => Err(status.or_missing_message()),
                };
            }
        }
    }
    Err(Status::missing())
}

/// Carries out a stream. The guest is told of its metadata, its messages, its last fields and its status, in this
/// order.
pub(crate) async fn stream(worker: &Worker, begun: Begun) {
    let Begun { caller, call, line } = begun;
    let mut tally = CallTally::begin(&caller, CallProtocol::Grpc);
    let (sender, receiver) = body_channel(None);
    let feeding = spawn_local(feed(line.clone(), sender));
    let tell = |result: Told| {
        hand_over(worker, &caller, |caller| match result {
            Told::Initial(metadata) => caller.on_grpc_initial_metadata(call.id, metadata),
            Told::Message(message) => caller.on_grpc_message(call.id, message),
            Told::Trailing(metadata) => caller.on_grpc_trailing_metadata(call.id, metadata),
            Told::Status(Status { code, message }) => {
                caller.on_grpc_close(call.id, code, message);
            }
        });
    };
    let work = async {
        let response = send_call(worker, &call, receiver.into()).await?;
        listen(response, &tell, &call.room).await
    };
    let status = match first_of(line.hung_up(), work).await {
        Err(hangup) => match Ended::from(hangup) {
            Ended::Cancelled => None,
            Ended::Failed(failure) => Some(failure.into()),
        },
        Ok(Ok(status) | Err(status)) => Some(status),
    };
    line.end_sending();
    feeding.abort();
    if let Some(status) = status {
        status.count(&mut tally);
        tell(Told::Status(status));
    }
}

/// What the guest is told of a stream.
enum Told {
    Initial(HeaderMap),
    Message(Bytes),
    Trailing(HeaderMap),
    Status(Status),
}

async fn listen(
    response: Response<UpstreamBody>,
    tell: &impl Fn(Told),
    room: &Room,
) -> Result<Status, Status> {
    if let Some(status) = status_in(response.headers()) {
        tell(Told::Trailing(response.headers().clone()));
        return Ok(status);
    }
    check_head(&response)?;
    let (head, mut body) = response.into_parts();
    tell(Told::Initial(head.headers));
    let mut frames = GrpcFrames::new(MOST_MESSAGE_BYTES);
    while let Some(piece) = next_piece(&mut body).await? {
        match piece {
            Piece::Data(data) => {
                take_in(&mut frames, &data, room)?;
                while let Some(message) = frames.next_message().map_err(|_| Status::malformed())? {
                    tell(Told::Message(message));
                }
            }
            Piece::Trailers(trailers) => {
                let status = status_in(&trailers).unwrap_or_else(Status::missing);
                tell(Told::Trailing(trailers));
                return Ok(status);
            }
        }
    }
    Err(Status::missing())
}

/// What came of messages, where the plugin has room for it.
fn take_in(frames: &mut GrpcFrames, data: &[u8], room: &Room) -> Result<(), CallFailure> {
    room.hold(frames.len() + data.len()).map_err(|_| CallFailure::TooLarge)?;
    frames.push(data);
    Ok(())
}

/// Sends what the guest sends, as the upstream takes it. A message has its room until the next one is wanted.
async fn feed(line: Rc<CallLine>, mut sender: BodySender) {
    let mut _under_way = None;
    while let Some(Message { bytes, room }) = line.next_message().await {
        match poll_fn(|cx| sender.poll_demand(cx)).await {
            Demand::Gone => return,
            Demand::Frame | Demand::None => sender.send(bytes),
        }
        _under_way = Some(room);
    }
    sender.finish();
}

/// A reply without 200 is not gRPC's.
fn check_head(response: &Response<UpstreamBody>) -> Result<(), Status> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let message = Bytes::from_static(b"the reply is not gRPC");
    Err(Status { code: grpc_status(status).into(), message })
}

fn status_in(fields: &HeaderMap) -> Option<Status> {
    let code = fields.get(GRPC_STATUS)?.to_str().ok().and_then(|code| code.parse().ok());
    let message = fields.get(GRPC_MESSAGE).map(|value| Bytes::copy_from_slice(value.as_bytes()));
    Some(Status { code: code.unwrap_or(UNKNOWN), message: message.unwrap_or_default() })
}

impl Status {
    /// How a call that ends so is counted: what an upstream says is an answer.
    fn count(&self, tally: &mut CallTally) {
        match self.code {
            DEADLINE_EXCEEDED => tally.failed(CallFailure::Timeout),
            CANCELLED => tally.failed(CallFailure::Abandoned),
            UNAVAILABLE | RESOURCE_EXHAUSTED | INTERNAL => tally.failed(CallFailure::Broken),
            _ => tally.answered(),
        }
    }

    /// The reply ended without one.
    fn missing() -> Self {
        Status { code: UNKNOWN, message: Bytes::from_static(b"the reply ended without a status") }
    }

    fn malformed() -> Self {
        Status {
            code: INTERNAL,
            message: Bytes::from_static(b"the reply's messages cannot be read"),
        }
    }

    /// Of a unary call that brought no message: `OK` would be a lie.
    fn or_missing_message(self) -> Self {
        if self.code == OK {
            let message = Bytes::from_static(b"the reply has no message");
            return Status { code: INTERNAL, message };
        }
        self
    }
}

impl From<CallFailure> for Status {
    fn from(failure: CallFailure) -> Self {
        let code = match failure {
            CallFailure::Timeout => DEADLINE_EXCEEDED,
            CallFailure::TooLarge | CallFailure::Overrun => RESOURCE_EXHAUSTED,
            CallFailure::Abandoned => CANCELLED,
            CallFailure::NoCluster
            | CallFailure::NoEndpoint
            | CallFailure::Connection
            | CallFailure::Broken => UNAVAILABLE,
        };
        Status { code, message: failure.to_string().into() }
    }
}
