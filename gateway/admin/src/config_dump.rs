//! The configuration that serves, as JSON. Keys and plugin configurations, which may hold secrets, are
//! never part of it.

use portcullis_model::{
    Action, Listener, Plugin, PluginModule, Problem, RequestMatch, Rule, VirtualHost,
};
use serde_json::{Value, json};

use crate::cluster_dump::cluster;
use crate::state::AdminState;

pub(crate) fn config_dump(state: &AdminState) -> Value {
    let snapshot = state.published.current();
    let model = &snapshot.model;
    json!({
        "generation": snapshot.generation,
        "listeners": model.listeners.iter().map(listener).collect::<Vec<_>>(),
        "clusters": model.clusters.values().map(|each| cluster(each)).collect::<Vec<_>>(),
        "plugins": model.plugins.values().map(|settings| plugin(settings)).collect::<Vec<_>>(),
        "problems": snapshot.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn listener(listener: &Listener) -> Value {
    let credential = listener.tls.as_ref().map(|tls| match tls.credentials.is_empty() {
        false => "present",
        true => "missing",
    });
    json!({
        "gateway": &*listener.gateway,
        "server": &*listener.server,
        "port": listener.port,
        "bind": listener.bind.map(|bind| bind.to_string()),
        "protocol": listener.protocol.as_str(),
        "hosts": listener.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "https_redirect": listener.https_redirect,
        "certificate": credential,
        "plugins": listener.plugins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "virtual_hosts": listener.virtual_hosts.iter().map(|host| virtual_host(host)).collect::<Vec<_>>(),
        "source": listener.origin.to_string(),
    })
}

fn virtual_host(host: &VirtualHost) -> Value {
    json!({ "host": host.host.to_string(), "rules": host.rules.iter().map(|each| rule(each)).collect::<Vec<_>>() })
}

fn rule(rule: &Rule) -> Value {
    let action = match &rule.action {
        Action::Redirect(redirect) => json!({ "redirect": redirect.status.as_u16() }),
        Action::DirectResponse(direct) => json!({ "direct_response": direct.status.as_u16() }),
        Action::Forward { destinations, .. } => json!({
            "forward": destinations.iter().map(|destination| json!({
                "cluster": destination.cluster.to_string(), "weight": destination.weight,
            })).collect::<Vec<_>>(),
        }),
    };
    json!({
        "route": &*rule.id,
        "matches": rule.matches.iter().map(request_match).collect::<Vec<_>>(),
        "action": action,
        "timeout": rule.timeout.map(seconds),
        "plugins": rule.plugins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "source": rule.origin.to_string(),
    })
}

/// Header fields by name alone: what they are held against may be a secret.
fn request_match(conditions: &RequestMatch) -> Value {
    json!({
        "path": conditions.path.as_ref().map(|path| format!("{path:?}")),
        "method": conditions.method.as_ref().map(|method| format!("{method:?}")),
        "authority": conditions.authority.as_ref().map(|authority| format!("{authority:?}")),
        "headers": conditions.headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(),
        "never": conditions.never,
    })
}

fn plugin(plugin: &Plugin) -> Value {
    let module = match &plugin.module {
        PluginModule::Broken(why) => format!("broken: {why}"),
        readable => readable.to_string(),
    };
    json!({
        "plugin": plugin.id.to_string(),
        "module": module,
        "phase": format!("{:?}", plugin.phase),
        "priority": plugin.priority,
        "fail_strategy": format!("{:?}", plugin.fail_strategy),
        "configuration_bytes": plugin.configuration.len(),
        "source": plugin.origin.to_string(),
    })
}

fn problem(problem: &Problem) -> Value {
    json!({ "severity": problem.severity.as_str(), "code": problem.code.to_string(), "text": problem.to_string() })
}

fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64()
}
