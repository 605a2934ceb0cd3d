//! What the gateway holds, as JSON: generations, listeners.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::state::AdminState;

pub(crate) fn generations(state: &AdminState) -> Value {
    let generations = state.published.generations().into_iter().map(|record| {
        json!({
            "generation": record.generation,
            "compiled_at": record.compiled_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            "problems": record.problems,
            "alive": record.alive,
        })
    });
    json!({ "current": state.published.current().generation, "generations": generations.collect::<Vec<_>>() })
}

pub(crate) fn listeners(state: &AdminState) -> Value {
    let listeners = state.workers.bound().into_iter().map(|bound| bound_json(&bound));
    json!({ "listeners": listeners.collect::<Vec<_>>() })
}

/// One bound listener, with the keys of the ready file.
pub fn bound_json(bound: &portcullis_edge::BoundListener) -> Value {
    json!({
        "gateway": &*bound.gateway,
        "server": &*bound.server,
        "port": bound.port,
        "protocol": bound.protocol.as_str(),
        "transport": bound.transport,
        "address": bound.address.to_string(),
    })
}
