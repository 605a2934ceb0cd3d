//! The manifests that a plugin is tried with: a Gateway with the plugin on it, a route, services.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::suite_stage::Strictness;
use crate::suite_token::ISSUER;

/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "suite";

/// A plugin on a Gateway of its own, whose requests all go to the upstream.
pub(crate) fn served_plugin(
    name: &str,
    port: usize,
    module: &Path,
    configuration: Option<&Value>,
    strictness: Strictness,
) -> [Value; 3] {
    let annotations = match strictness {
        Strictness::Lenient => json!({}),
        Strictness::Envoy => json!({ "portcullis.dev/strict": "envoy" }),
    };
    let plugin = json!({
        "targetRefs": [{ "group": "networking.istio.io", "kind": "Gateway", "name": name }],
        "url": format!("file://{}", module.display()),
        "pluginConfig": configuration.cloned().unwrap_or_else(|| json!({})),
    });
    let port = json!({ "number": port, "name": "http", "protocol": "HTTP" });
    let gateway = json!({ "servers": [{ "port": port, "hosts": ["*"] }] });
    // A second try would be a request that nobody expects.
    let routes = json!({
        "hosts": ["*"],
        "gateways": [name],
        "http": [{ "route": [{ "destination": { "host": UPSTREAM } }], "retries": { "attempts": 0 } }],
    });
    [
        object("networking.istio.io/v1", "Gateway", json!({ "name": name }), gateway),
        object("networking.istio.io/v1", "VirtualService", json!({ "name": name }), routes),
        object(
            "extensions.istio.io/v1alpha1",
            "WasmPlugin",
            json!({ "name": name, "annotations": annotations }),
            plugin,
        ),
    ]
}

/// The host of the upstream.
const UPSTREAM: &str = "upstream.test";

/// The upstream of every plugin that is tried.
pub(crate) fn upstream(address: SocketAddr) -> Value {
    service_entry("upstream", UPSTREAM, 80, address)
}

/// Whose tokens every Gateway takes.
pub(crate) fn token_keys(keys: &str) -> Value {
    let rules = json!({ "jwtRules": [{ "issuer": ISSUER, "jwks": keys }] });
    object("security.istio.io/v1", "RequestAuthentication", json!({ "name": "tokens" }), rules)
}

/// Several objects as one file.
pub(crate) fn as_file(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    documents.join("\n---\n")
}

/// A cluster by the name that the filter gives it: Istio's, a host with its port, or a Service's.
pub(crate) fn service(nth: usize, cluster: &str, address: SocketAddr) -> Vec<Value> {
    let entry = |host: &str, port: &str| {
        vec![service_entry(&format!("service-{nth}"), host, port.parse().unwrap_or(80), address)]
    };
    if let ["outbound", port, "", host] = *cluster.split('|').collect::<Vec<_>>() {
        return entry(host, port);
    }
    if let Some((host, port)) = cluster.rsplit_once(':') {
        return entry(host, port);
    }
    let service = json!({ "ports": [{ "name": "http", "port": 80 }] });
    let labels = json!({ "kubernetes.io/service-name": cluster });
    let mut slice = object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        json!({ "name": format!("{cluster}-1"), "labels": labels }),
        Value::Null,
    );
    if let Some(fields) = slice.as_object_mut() {
        fields.remove("spec");
        fields.insert("addressType".to_owned(), json!("IPv4"));
        fields.insert("ports".to_owned(), json!([{ "name": "http", "port": address.port() }]));
        fields.insert("endpoints".to_owned(), json!([{ "addresses": [address.ip().to_string()] }]));
    }
    vec![object("v1", "Service", json!({ "name": cluster }), service), slice]
}

fn service_entry(name: &str, host: &str, port: u16, address: SocketAddr) -> Value {
    let spec = json!({
        "hosts": [host],
        "resolution": "STATIC",
        "ports": [{ "number": port, "name": "http", "protocol": "HTTP" }],
        "endpoints": [{ "address": address.ip().to_string(), "ports": { "http": address.port() } }],
    });
    object("networking.istio.io/v1", "ServiceEntry", json!({ "name": name }), spec)
}

fn object(version: &str, kind: &str, mut metadata: Value, spec: Value) -> Value {
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("namespace".to_owned(), json!(NAMESPACE));
    }
    json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec })
}
