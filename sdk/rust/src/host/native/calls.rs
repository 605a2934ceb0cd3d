//! Sending calls at the mock host: the test's script answers, in the host's time.

use std::time::Duration;

use super::call::Call;
use super::events::Event;
use super::grpc::{GrpcAnswer, GrpcCall};
use super::state::{State, with_state};
use super::stream::Headers;
use crate::HostError;
use crate::abi::End;

const DEADLINE_EXCEEDED: u32 = 4;

/// A service that the test has not scripted is a cluster that the host does not know.
pub(crate) fn http_call(
    cluster: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
    trailers: &[(&str, &[u8])],
    timeout_ms: u32,
) -> Result<u32, HostError> {
    let refused = HostError::new("http_call", HostError::BAD_ARGUMENT);
    let service = with_state(|state| state.services.get(cluster).cloned()).ok_or(refused)?;
    let call = Call {
        cluster: cluster.to_owned(),
        headers: owned(headers),
        body: body.to_vec(),
        trailers: owned(trailers),
        timeout: timeout(timeout_ms),
    };
    if [":method", ":path", ":authority"].iter().any(|name| call.header(name).is_none()) {
        return Err(refused);
    }
    let answer = service(&call).within(call.timeout);
    Ok(with_state(|state| {
        let (root, id) = (state.root(), state.new_call());
        state.calls.push(call);
        if let Some((after, answer)) = answer {
            let answer = Event::HttpAnswer { root, call: id, answer };
            state.events.announce(state.now + after, answer);
        }
        id
    }))
}

pub(crate) fn grpc_call(
    cluster: &str,
    service: &str,
    method: &str,
    metadata: &[(&str, &[u8])],
    message: &[u8],
    timeout_ms: u32,
) -> Result<u32, HostError> {
    let mut call = opening(cluster, service, method, metadata);
    call.message = message.to_vec();
    call.timeout = timeout(timeout_ms);
    let answer = ask("grpc_call", &call)?;
    Ok(with_state(|state| {
        let id = state.new_call();
        answer_call(state, id, answer, call.timeout);
        state.grpc_calls.push(call);
        id
    }))
}

pub(crate) fn grpc_stream(
    cluster: &str,
    service: &str,
    method: &str,
    metadata: &[(&str, &[u8])],
) -> Result<u32, HostError> {
    let call = opening(cluster, service, method, metadata);
    with_state(|state| {
        if !state.grpc_services.contains_key(cluster) {
            return Err(HostError::new("grpc_stream", HostError::PARSE_FAILURE));
        }
        let id = state.new_call();
        state.grpc_streams.insert(id, call);
        Ok(id)
    })
}

/// An answer to each message; the end of ours alone is told to nobody.
pub(crate) fn grpc_send(id: u32, message: &[u8], _: End) -> Result<(), HostError> {
    let unknown = HostError::new("grpc_send", HostError::NOT_FOUND);
    let opened = with_state(|state| state.grpc_streams.get(&id).cloned()).ok_or(unknown)?;
    let call = GrpcCall { message: message.to_vec(), ..opened };
    let answer = ask("grpc_send", &call)?;
    with_state(|state| {
        answer_stream(state, id, answer);
        state.grpc_calls.push(call);
    });
    Ok(())
}

pub(crate) fn grpc_cancel(id: u32) -> Result<(), HostError> {
    with_state(|state| {
        state.grpc_streams.remove(&id);
        state.events.forget_call(id);
    });
    Ok(())
}

/// Our half alone: answers still come.
pub(crate) fn grpc_close(id: u32) -> Result<(), HostError> {
    let unknown = HostError::new("grpc_close", HostError::NOT_FOUND);
    with_state(|state| state.grpc_streams.remove(&id).map(|_| ())).ok_or(unknown)
}

pub(crate) fn call_status() -> Result<(u32, Vec<u8>), HostError> {
    with_state(|state| Ok((state.closed.0, state.closed.1.clone().into_bytes())))
}

fn opening(cluster: &str, service: &str, method: &str, metadata: &[(&str, &[u8])]) -> GrpcCall {
    GrpcCall {
        cluster: cluster.to_owned(),
        service: service.to_owned(),
        method: method.to_owned(),
        metadata: owned(metadata),
        message: Vec::new(),
        timeout: None,
    }
}

/// The test's script is asked without a borrow of the state: it may look at the host itself.
fn ask(call: &'static str, request: &GrpcCall) -> Result<GrpcAnswer, HostError> {
    let service = with_state(|state| state.grpc_services.get(&request.cluster).cloned());
    let service = service.ok_or(HostError::new(call, HostError::PARSE_FAILURE))?;
    Ok(service(request))
}

/// A unary call ends with a message or a status, never with both.
fn answer_call(state: &mut State, call: u32, answer: GrpcAnswer, timeout: Option<Duration>) {
    let root = state.root();
    let in_time = !answer.is_silent && timeout.is_none_or(|timeout| answer.after < timeout);
    let failed = answer.closed.filter(|(status, _)| *status != 0);
    let (after, event) = match (in_time, failed, answer.messages.into_iter().next()) {
        (true, Some((status, message)), _) => {
            (answer.after, Event::GrpcClose { root, call, status, message })
        }
        (true, None, Some(message)) => (answer.after, Event::GrpcMessage { root, call, message }),
        (true, None, None) => return,
        (false, ..) => match timeout {
            Some(timeout) => {
                let (status, message) = (DEADLINE_EXCEEDED, "deadline exceeded".to_owned());
                (timeout, Event::GrpcClose { root, call, status, message })
            }
            None => return,
        },
    };
    state.events.announce(state.now + after, event);
}

fn answer_stream(state: &mut State, call: u32, answer: GrpcAnswer) {
    let (root, at) = (state.root(), state.now + answer.after);
    let mut announce = |event| state.events.announce(at, event);
    if !answer.initial_metadata.is_empty() {
        let metadata = answer.initial_metadata;
        announce(Event::GrpcInitialMetadata { root, call, metadata });
    }
    for message in answer.messages {
        announce(Event::GrpcMessage { root, call, message });
    }
    if !answer.trailing_metadata.is_empty() {
        let metadata = answer.trailing_metadata;
        announce(Event::GrpcTrailingMetadata { root, call, metadata });
    }
    if let Some((status, message)) = answer.closed {
        announce(Event::GrpcClose { root, call, status, message });
    }
}

fn owned(pairs: &[(&str, &[u8])]) -> Headers {
    pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect()
}

/// 0 waits for as long as it takes.
fn timeout(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}
