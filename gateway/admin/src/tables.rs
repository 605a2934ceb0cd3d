//! What the gateway holds, as JSON: generations, listeners, plugins.

use std::time::UNIX_EPOCH;

use portcullis_snapshot::PluginState;
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

pub(crate) fn plugins(state: &AdminState) -> Value {
    let snapshot = state.published.current();
    let plugins = snapshot.plugins.iter().map(|(id, plugin)| {
        let mut entry = json!({
            "plugin": id.to_string(),
            "fail_strategy": format!("{:?}", plugin.fail_strategy()),
            "state": if plugin.running().is_some() { "running" } else { "refused" },
        });
        if let (PluginState::Running { plugin, digest, .. }, Some(entry)) =
            (plugin, entry.as_object_mut())
        {
            let status = plugin.status();
            entry.insert("sha256".to_owned(), json!(portcullis_crypto::hex(digest)));
            entry.insert("abi".to_owned(), json!(status.abi.to_string()));
            entry.insert("instances".to_owned(), json!(status.instances));
            entry.insert("memory_bytes".to_owned(), json!(status.memory_bytes));
            entry.insert("traps".to_owned(), json!(status.traps));
        }
        entry
    });
    json!({ "plugins": plugins.collect::<Vec<_>>() })
}
