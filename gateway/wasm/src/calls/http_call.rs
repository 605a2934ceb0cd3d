//! The host call by which a plugin calls a cluster over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderName, Method};
use portcullis_model::{CallableUpstreams, ClusterName};
use wasmtime::Linker;

use super::header_edit::{authority, field, is_ours, path, weight};
use crate::abi::{Pair, Status, decode_pairs};
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::call_opening::{Opened, open_call};
use crate::errands::{Call, CallKind, Errand};
use crate::guest::{Guest, bytes, memory_and_state, run, write_u32};
use crate::state::GuestState;

/// What a call may weigh: its head's names and values, its body.
const MOST_HEAD_BYTES: usize = 64 << 10;
const MOST_BODY_BYTES: u32 = 4 << 20;
/// However long a plugin is willing to wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// A range in the guest's memory, as the guest passes it.
pub(super) type Range = (u32, u32);

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |guest: Guest<'_>,
         upstream: u32,
         upstream_length: u32,
         headers: u32,
         headers_length: u32,
         body: u32,
         body_length: u32,
         trailers: u32,
         trailers_length: u32,
         timeout: u32,
         out: u32| {
            let asked = Asked {
                upstream: (upstream, upstream_length),
                headers: (headers, headers_length),
                body: (body, body_length),
                trailers: (trailers, trailers_length),
                timeout,
                out,
            };
            run(guest, "proxy_http_call", |guest| call(guest, &asked))
        },
    )?;
    Ok(())
}

struct Asked {
    upstream: Range,
    headers: Range,
    body: Range,
    trailers: Range,
    timeout: u32,
    out: u32,
}

/// Sent after the callback has returned; nothing of the guest is run before.
fn call(guest: &mut Guest<'_>, asked: &Asked) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let cluster = cluster(state, bytes(memory, asked.upstream.0, asked.upstream.1)?)?;
    let head = head(&pairs(memory, asked.headers)?)?;
    let trailers = fields(&pairs(memory, asked.trailers)?)?;
    if asked.body.1 > MOST_BODY_BYTES {
        return Err(CallError::Refused(Status::InternalFailure, "the call's body is too large"));
    }
    // Written first: an address outside of its memory must not leave a call behind that nobody knows of.
    write_u32(memory, asked.out, 0)?;
    let body = bytes(memory, asked.body.0, asked.body.1)?;
    let Head { method, path, headers } = head;
    let (kind, size) = (CallKind::Http, weight(&headers) + weight(&trailers) + body.len());
    let Opened { id, room, brought } = open_call(state, kind, size)?;
    let body = Bytes::copy_from_slice(body);
    let timeout = Some(timeout(state, asked.timeout));
    let call = Call { id, cluster, method, path, headers, body, trailers, timeout, kind, room };
    state.errands.ask(state.effective, Errand::Begin(Box::new(call), brought));
    write_u32(memory, asked.out, id.0)
}

/// The cluster of a name, where the configuration has one.
pub(super) fn cluster(state: &GuestState, name: &[u8]) -> Result<ClusterName, CallError> {
    let name =
        std::str::from_utf8(name).map_err(|_| bad_argument("the cluster's name is no text"))?;
    let namespace = &state.facts.settings.id.namespace;
    let targets = state.facts.targets.load();
    let found = targets.find(namespace, name);
    let found = found.ok_or_else(|| bad_argument("the configuration names no such cluster"))?;
    if state.is_strict() && found.to_string() != name {
        return Err(bad_argument("Envoy knows clusters by their full names alone"));
    }
    if let CallableUpstreams::Named(names) = state.facts.capabilities.upstreams() {
        let is_meant = |name: &String| targets.find(namespace, name) == Some(found);
        if !names.iter().any(is_meant) {
            let reason = "its capability `upstreams` does not name this cluster";
            return Err(CallError::Refused(Status::InternalFailure, reason));
        }
    }
    Ok(found.clone())
}

/// A timeout of none is the plugin's own.
pub(super) fn timeout(state: &GuestState, milliseconds: u32) -> Duration {
    match milliseconds {
        0 => state.facts.settings.limits.call,
        asked => Duration::from_millis(asked.into()).min(LONGEST),
    }
}

pub(super) fn pairs(memory: &[u8], range: Range) -> Result<Vec<Pair<'_>>, CallError> {
    decode_pairs(bytes(memory, range.0, range.1)?)
        .map_err(|_| bad_argument("the headers or trailers are not in the map format"))
}

struct Head {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
}

/// The head of a call: it needs `:method`, `:path` and `:authority`.
fn head(pairs: &[Pair<'_>]) -> Result<Head, CallError> {
    let (mut method, mut target, mut host) = (None, None, None);
    for (name, value) in pairs {
        match *name {
            b":method" => {
                let parsed = Method::from_bytes(value);
                method = Some(parsed.map_err(|_| bad_argument("`:method` is no method"))?);
            }
            b":path" => target = Some(path(value)?),
            b":authority" => host = Some(authority(value)?),
            _ => {}
        }
    }
    let (Some(method), Some(path), Some(host)) = (method, target, host) else {
        return Err(bad_argument("a call needs `:method`, `:path` and `:authority`"));
    };
    if method == Method::CONNECT {
        return Err(bad_argument("a call cannot open a tunnel"));
    }
    let mut headers = fields(pairs)?;
    headers.insert(HOST, host);
    Ok(Head { method, path, headers })
}

/// The fields of a map, without pseudo-headers and what frames a message.
pub(super) fn fields(pairs: &[Pair<'_>]) -> Result<HeaderMap, CallError> {
    let mut fields = HeaderMap::with_capacity(pairs.len());
    let mut weight = 0;
    for (name, value) in pairs.iter().filter(|(name, _)| name.first() != Some(&b':')) {
        let (name, value): (HeaderName, HeaderValue) = field(name, value)
            .map_err(|_| bad_argument("the call has a header that none can be"))?;
        weight += name.as_str().len() + value.len();
        if weight > MOST_HEAD_BYTES {
            return Err(CallError::Refused(
                Status::InternalFailure,
                "the call's head is too large",
            ));
        }
        if !is_ours(&name) && name != HOST {
            fields.append(name, value);
        }
    }
    Ok(fields)
}
