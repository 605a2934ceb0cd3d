//! This gateway as a suite's host: the binary itself, on manifests made for the suite.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::author_error::AuthorError;
use crate::child_lines::ChildLines;
use crate::suite_host::{Dialect, START_PATIENCE, SuiteHost, last_words};
use crate::suite_stage::{Stage, Strictness};

/// The namespace of everything in a suite.
const NAMESPACE: &str = "suite";
/// The port of the first case; bound to free ones.
const FIRST_PORT: usize = 10_000;

/// Starts the gateway.
///
/// # Errors
/// It does not serve.
pub(crate) async fn start_gateway(program: &Path, stage: &Stage) -> Result<SuiteHost, AuthorError> {
    let directory = write_manifests(stage)?;
    let ready_file = directory.path().join("ready.json");
    let ports: Vec<String> =
        (0..stage.configurations.len()).map(|case| format!("{}=0", FIRST_PORT + case)).collect();
    let mut command = Command::new(program);
    command.args([
        "serve",
        "--workers",
        "1",
        "--bind",
        "127.0.0.1",
        "--status",
        "off",
        "--access-log",
        "off",
    ]);
    command.args([
        "--metrics",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--port-map",
        &ports.join(","),
    ]);
    command
        .arg("--config")
        .arg(directory.path().join("config"))
        .arg("--ready-file")
        .arg(&ready_file);
    clear_environment(&mut command);
    let mut child = ChildLines::start(&mut command)
        .map_err(|error| AuthorError::Failure(format!("{}: {error}", program.display())))?;
    let mut heard = Vec::new();
    if !child.wait_for(" ready generation=", START_PATIENCE, &mut heard).await {
        return Err(AuthorError::Failure(format!(
            "the gateway does not serve: {}",
            last_words(&heard)
        )));
    }
    let ready =
        std::fs::read(&ready_file).map_err(|error| AuthorError::file(&ready_file, &error))?;
    let ready: Value = serde_json::from_slice(&ready).unwrap_or_default();
    let addresses = (0..stage.configurations.len()).map(|case| address_of(&ready, case));
    let addresses = addresses.collect::<Option<Vec<SocketAddr>>>();
    let statistics = ready.get("metrics").and_then(parse_address);
    match (addresses, statistics) {
        (Some(addresses), Some(statistics)) => Ok(SuiteHost {
            child,
            addresses,
            statistics,
            dialect: Dialect::Portcullis,
            _directory: directory,
        }),
        _ => {
            Err(AuthorError::Failure(format!("the gateway does not say where it serves: {ready}")))
        }
    }
}

/// Why each case's filter is refused, by case, as `validate` says it; `None` where it starts.
pub(crate) async fn refusals(
    program: &Path,
    stage: &Stage,
) -> Result<Vec<Option<String>>, AuthorError> {
    let directory = write_manifests(stage)?;
    let mut command = Command::new(program);
    command.args(["validate", "--output", "json"]).arg(directory.path().join("config"));
    clear_environment(&mut command);
    let run = command
        .output()
        .await
        .map_err(|error| AuthorError::Failure(format!("{}: {error}", program.display())))?;
    let report: Value = serde_json::from_slice(&run.stdout).unwrap_or_default();
    let problems = report.get("problems").and_then(Value::as_array).cloned().unwrap_or_default();
    let of_case = |case: usize| {
        let object = json!(format!("WasmPlugin/{NAMESPACE}/case-{case}"));
        let is_it = |problem: &&Value| {
            problem.get("object") == Some(&object)
                && problem.get("severity") == Some(&json!("error"))
        };
        problems.iter().find(is_it)?.get("message")?.as_str().map(str::to_owned)
    };
    Ok((0..stage.configurations.len()).map(of_case).collect())
}

/// An author's settings for a gateway of theirs are not meant for this one.
fn clear_environment(command: &mut Command) {
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_"))
    {
        command.env_remove(name);
    }
}

fn address_of(ready: &Value, case: usize) -> Option<SocketAddr> {
    let gateway = json!(format!("{NAMESPACE}/case-{case}"));
    let mut listeners = ready.get("listeners")?.as_array()?.iter();
    listeners
        .find(|listener| listener.get("gateway") == Some(&gateway))?
        .get("address")
        .and_then(parse_address)
}

fn parse_address(value: &Value) -> Option<SocketAddr> {
    value.as_str()?.parse().ok()
}

fn write_manifests(stage: &Stage) -> Result<tempfile::TempDir, AuthorError> {
    let failed =
        |error: std::io::Error| AuthorError::Failure(format!("a temporary directory: {error}"));
    let directory = tempfile::tempdir().map_err(failed)?;
    let config = directory.path().join("config");
    std::fs::create_dir(&config).map_err(failed)?;
    let documents: Vec<String> = manifests(stage).iter().map(Value::to_string).collect();
    std::fs::write(config.join("suite.yaml"), documents.join("\n---\n")).map_err(failed)?;
    Ok(directory)
}

fn manifests(stage: &Stage) -> Vec<Value> {
    let mut all = vec![service_entry("upstream", "upstream.test", 80, stage.upstream)];
    for (nth, (cluster, address)) in stage.services.iter().enumerate() {
        all.extend(service(nth, cluster, *address));
    }
    for case in 0..stage.configurations.len() {
        all.extend(case_objects(stage, case));
    }
    all
}

fn case_objects(stage: &Stage, case: usize) -> [Value; 3] {
    let name = format!("case-{case}");
    let port = json!({ "number": FIRST_PORT + case, "name": "http", "protocol": "HTTP" });
    let annotations = match stage.strictness {
        Strictness::Lenient => json!({}),
        Strictness::Envoy => json!({ "portcullis.dev/compat": "envoy-strict" }),
    };
    let plugin = json!({
        "targetRefs": [{ "group": "networking.istio.io", "kind": "Gateway", "name": name }],
        "url": format!("file://{}", stage.module.display()),
        "pluginConfig": stage.configurations.get(case).cloned().flatten().unwrap_or_else(|| json!({})),
    });
    let gateway = json!({ "servers": [{ "port": port, "hosts": ["*"] }] });
    // A second try would be a request that no case expects.
    let routes = json!({
        "hosts": ["*"],
        "gateways": [name],
        "http": [{ "route": [{ "destination": { "host": "upstream.test" } }], "retries": { "attempts": 0 } }],
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

/// A cluster by the name that the filter gives it: Istio's, a host with its port, or a Service's.
fn service(nth: usize, cluster: &str, address: SocketAddr) -> Vec<Value> {
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
