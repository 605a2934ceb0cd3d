//! What becomes of a host call that a plugin may not make: a status that SDKs take where there is one, else the end of
//! the callback.

use portcullis_model::Capability;

use crate::abi::Status;
use crate::call_end::{CallError, CallResult};
use crate::state::GuestState;

/// How a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// By a status that every SDK takes for an answer.
    Says(Status),
    /// The call does nothing and says that all is well: what it would have done concerns nobody but the plugin.
    DoesNothing,
    /// SDKs take no refusal of it, and a plugin that goes on as if it had been done might let through what it was to
    /// hold: the callback ends, and the fail strategy answers.
    Ends,
}

/// Lets a call through, or refuses it. Maps and buffers are looked at where it is known which one is meant.
pub(crate) fn admit(state: &GuestState, call: &str) -> CallResult {
    if !state.facts.is_narrowed {
        return Ok(());
    }
    match rule(call) {
        Some((capability, denial)) => check(state, capability, denial),
        None => Ok(()),
    }
}

/// Whether heads and trailers may be read.
pub(crate) fn may_read_headers(state: &GuestState) -> bool {
    !state.facts.is_narrowed || state.facts.capabilities.has(Capability::Headers)
}

/// Before a head or trailers are changed.
pub(crate) fn admit_header_change(state: &GuestState) -> CallResult {
    admit_as(state, Capability::Headers, Denial::Ends)
}

/// Before a body or a connection's bytes are read.
pub(crate) fn admit_body_read(state: &GuestState) -> CallResult {
    admit_as(state, Capability::Body, Denial::Says(Status::NotFound))
}

/// Before a body or a connection's bytes are changed.
pub(crate) fn admit_body_change(state: &GuestState) -> CallResult {
    admit_as(state, Capability::Body, Denial::Ends)
}

/// Before a property of the request is read: those of its head, and of the reply's, are part of the head.
pub(crate) fn admit_property(state: &GuestState, path: &[&str]) -> CallResult {
    let of_head = matches!(
        path,
        ["request" | "response", "headers" | "trailers" | "referer" | "useragent", ..]
    );
    if of_head {
        admit_as(state, Capability::Headers, Denial::Says(Status::NotFound))?;
    }
    admit_as(state, Capability::Properties, Denial::Says(Status::NotFound))
}

/// Before a foreign function is called.
pub(crate) fn admit_foreign(state: &GuestState, name: &[u8]) -> CallResult {
    let capability = match name {
        b"set_envoy_filter_state" => Capability::Properties,
        b"clear_route_cache" => Capability::Headers,
        _ => Capability::Crypto,
    };
    admit_as(state, capability, Denial::Says(Status::NotFound))
}

/// Whether anything may be written to the log.
pub(crate) fn may_log(state: &GuestState) -> bool {
    !state.facts.is_narrowed || state.facts.capabilities.has(Capability::Log)
}

fn admit_as(state: &GuestState, capability: Capability, denial: Denial) -> CallResult {
    if state.facts.is_narrowed { check(state, capability, denial) } else { Ok(()) }
}

fn check(state: &GuestState, capability: Capability, denial: Denial) -> CallResult {
    if state.facts.capabilities.has(capability) {
        return Ok(());
    }
    let reason = reason(capability);
    Err(match denial {
        Denial::Says(status) => CallError::Refused(status, reason),
        Denial::DoesNothing => CallError::Refused(Status::Ok, reason),
        Denial::Ends => CallError::Ended(reason),
    })
}

fn rule(call: &str) -> Option<(Capability, Denial)> {
    Some(match call {
        "proxy_http_call" | "proxy_grpc_call" | "proxy_grpc_stream" => {
            (Capability::Upstreams, Denial::Says(Status::InternalFailure))
        }
        "proxy_set_property" => (Capability::Properties, Denial::Ends),
        "proxy_get_shared_data"
        | "proxy_resolve_shared_queue"
        | "proxy_enqueue_shared_queue"
        | "proxy_dequeue_shared_queue" => (Capability::SharedData, Denial::Says(Status::NotFound)),
        "proxy_set_shared_data" => (Capability::SharedData, Denial::Says(Status::CasMismatch)),
        "proxy_register_shared_queue" => (Capability::SharedData, Denial::Ends),
        "proxy_set_tick_period_milliseconds" => (Capability::Ticks, Denial::Ends),
        "proxy_define_metric" | "proxy_record_metric" | "proxy_increment_metric" => {
            (Capability::Metrics, Denial::DoesNothing)
        }
        "proxy_get_metric" => (Capability::Metrics, Denial::Says(Status::NotFound)),
        "proxy_clear_route_cache" => (Capability::Headers, Denial::Ends),
        _ => return None,
    })
}

fn reason(capability: Capability) -> &'static str {
    match capability {
        Capability::Headers => "it needs the capability `headers`",
        Capability::Body => "it needs the capability `body`",
        Capability::Properties => "it needs the capability `properties`",
        Capability::Upstreams => "it needs the capability `upstreams`",
        Capability::SharedData => "it needs the capability `shared-data`",
        Capability::Ticks => "it needs the capability `ticks`",
        Capability::Crypto => "it needs the capability `crypto`",
        Capability::Metrics => "it needs the capability `metrics`",
        Capability::Log => "it needs the capability `log`",
    }
}
