//! Each plugin object: what runs, how it is doing, where it is attached, how it failed last. What it was configured
//! with, which may hold secrets, is never part of it.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_model::{ObjectId, PluginLimits, PluginModule, Severity};
use portcullis_snapshot::{PluginState, Snapshot};
use portcullis_telemetry::PluginTallies;
use portcullis_wasm::{FaultRecord, PluginStatus};
use serde_json::{Map, Value, json};

use crate::state::AdminState;

/// Every plugin object.
pub(crate) fn plugins(state: &AdminState) -> Value {
    let snapshot = state.published.current();
    let plugins = snapshot.plugins.iter().map(|(id, state)| plugin(&snapshot, id, state));
    json!({ "plugins": plugins.collect::<Vec<_>>() })
}

fn plugin(snapshot: &Snapshot, id: &ObjectId, state: &PluginState) -> Value {
    let settings = state.settings();
    let mut entry = json!({
        "plugin": id.to_string(),
        "url": settings.module.to_string(),
        "type": format!("{:?}", settings.protocol).to_uppercase(),
        "phase": format!("{:?}", settings.phase).to_uppercase(),
        "priority": settings.priority,
        "fail_strategy": format!("{:?}", state.fail_strategy()),
        "attached_to": attached_to(snapshot, id),
        "limits": limits(&settings.limits),
        "state": state.word(),
        "why": why(snapshot, id, state),
    });
    if let (Some(plugin), Some(entry)) = (state.running(), entry.as_object_mut()) {
        entry.extend(running(&plugin.status(), &plugin.metrics().tallies));
    }
    entry
}

fn running(status: &PluginStatus, tallies: &PluginTallies) -> Map<String, Value> {
    let running = json!({
        "sha256": status.digest,
        "abi": status.abi.to_string(),
        "capabilities": status.capabilities,
        "isolation": format!("{:?}", status.isolation).to_lowercase(),
        "breaker": if status.breaker_open { "open" } else { "closed" },
        "instances": status.instances,
        "memory_bytes": status.memory_bytes,
        "started_at": seconds(status.started_at),
        "traps": status.traps,
        "budget_exceeded": status.budget_exceeded,
        "fail_open": status.fail_open,
        "pauses": tallies.pauses(),
        "refused_calls": tallies.refused().map(|(call, count)| (call.to_owned(), json!(count)))
            .collect::<Map<_, _>>(),
        "last_faults": status.last_faults.iter().map(fault).collect::<Vec<_>>(),
    });
    match running {
        Value::Object(running) => running,
        _ => Map::new(),
    }
}

fn fault(fault: &FaultRecord) -> Value {
    json!({
        "at": seconds(fault.at),
        "phase": fault.phase,
        "kind": fault.kind.to_string(),
        "message": fault.message,
        "backtrace": fault.backtrace.lines().map(str::trim).collect::<Vec<_>>(),
    })
}

fn limits(limits: &PluginLimits) -> Value {
    json!({
        "memory_bytes": limits.memory,
        "callback_ms": milliseconds(limits.callback),
        "request_ms": milliseconds(limits.request),
        "call_ms": milliseconds(limits.call),
        "start_ms": milliseconds(limits.start),
    })
}

/// The listeners and rules whose chain it stands in.
fn attached_to(snapshot: &Snapshot, id: &ObjectId) -> Vec<String> {
    let mut places = Vec::new();
    for table in snapshot.sockets.values() {
        for listener in &table.listeners {
            let settings = &listener.settings;
            if settings.plugins.contains(id) {
                places.push(format!("Gateway/{}/{}", settings.gateway, settings.server));
            }
        }
        for rule in table.rules.iter().filter(|rule| rule.rule.plugins.contains(id)) {
            let name = rule.rule.id.to_string();
            if !places.contains(&name) {
                places.push(name);
            }
        }
    }
    places
}

/// What is wrong with it: why it does not run, or why an older version does.
fn why(snapshot: &Snapshot, id: &ObjectId, state: &PluginState) -> Option<String> {
    let is_it = |problem: &&portcullis_model::Problem| {
        problem.severity == Severity::Error && problem.object.as_ref() == Some(id)
    };
    let problem = snapshot.problems.iter().find(is_it).map(ToString::to_string);
    problem.or_else(|| match &state.settings().module {
        PluginModule::Broken(why) => Some(why.clone()),
        _ => None,
    })
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
