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
    let statistics = parse_address(&ready["metrics"]);
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
    let problems = report["problems"].as_array().cloned().unwrap_or_default();
    let of_case = |case: usize| {
        let object = json!(format!("WasmPlugin/{NAMESPACE}/case-{case}"));
        let problem = problems
            .iter()
            .find(|problem| problem["object"] == object && problem["severity"] == "error")?;
        Some(format!("{}", problem["message"].as_str().unwrap_or_default()))
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
    let listeners = ready["listeners"].as_array()?;
    let gateway = json!(format!("{NAMESPACE}/case-{case}"));
    parse_address(&listeners.iter().find(|listener| listener["gateway"] == gateway)?["address"])
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
    let mut plugin = object("extensions.istio.io/v1alpha1", "WasmPlugin", &name);
    if stage.strictness == Strictness::Envoy {
        plugin["metadata"]["annotations"] = json!({ "portcullis.dev/compat": "envoy-strict" });
    }
    plugin["spec"] = json!({
        "targetRefs": [{ "group": "networking.istio.io", "kind": "Gateway", "name": name }],
        "url": format!("file://{}", stage.module.display()),
    });
    if let Some(Some(configuration)) = stage.configurations.get(case) {
        plugin["spec"]["pluginConfig"] = configuration.clone();
    }
    let mut gateway = object("networking.istio.io/v1", "Gateway", &name);
    gateway["spec"] = json!({ "servers": [{ "port": port, "hosts": ["*"] }] });
    let mut routes = object("networking.istio.io/v1", "VirtualService", &name);
    // A second try would be a request that no case expects.
    routes["spec"] = json!({
        "hosts": ["*"],
        "gateways": [name],
        "http": [{ "route": [{ "destination": { "host": "upstream.test" } }], "retries": { "attempts": 0 } }],
    });
    [gateway, routes, plugin]
}

/// A cluster by the name that the filter gives it: Istio's, a host with its port, or a Service's.
fn service(nth: usize, cluster: &str, address: SocketAddr) -> Vec<Value> {
    let mut parts = cluster.split('|');
    if let (Some("outbound"), Some(port), Some(""), Some(host), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    {
        return vec![service_entry(
            &format!("service-{nth}"),
            host,
            port.parse().unwrap_or(80),
            address,
        )];
    }
    if let Some((host, port)) = cluster.rsplit_once(':') {
        return vec![service_entry(
            &format!("service-{nth}"),
            host,
            port.parse().unwrap_or(80),
            address,
        )];
    }
    let mut service = object("v1", "Service", cluster);
    service["spec"] = json!({ "ports": [{ "name": "http", "port": 80 }] });
    let mut slice = object("discovery.k8s.io/v1", "EndpointSlice", &format!("{cluster}-1"));
    slice["metadata"]["labels"] = json!({ "kubernetes.io/service-name": cluster });
    slice["addressType"] = json!("IPv4");
    slice["ports"] = json!([{ "name": "http", "port": address.port() }]);
    slice["endpoints"] = json!([{ "addresses": [address.ip().to_string()] }]);
    vec![service, slice]
}

fn service_entry(name: &str, host: &str, port: u16, address: SocketAddr) -> Value {
    let mut entry = object("networking.istio.io/v1", "ServiceEntry", name);
    entry["spec"] = json!({
        "hosts": [host],
        "resolution": "STATIC",
        "ports": [{ "number": port, "name": "http", "protocol": "HTTP" }],
        "endpoints": [{ "address": address.ip().to_string(), "ports": { "http": address.port() } }],
    });
    entry
}

fn object(version: &str, kind: &str, name: &str) -> Value {
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": NAMESPACE } })
}
