//! An Envoy as a suite's host: what passes there passes in Istio.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use crate::author_error::AuthorError;
use crate::child_lines::ChildLines;
use crate::suite_client::read_page;
use crate::suite_host::{Dialect, START_PATIENCE, SuiteHost, last_words};
use crate::suite_stage::Stage;
use crate::suite_token::ISSUER;

/// Starts an Envoy.
///
/// # Errors
/// It does not serve; the reason has the last lines of its log.
pub(crate) async fn start_envoy(program: &Path, stage: &Stage) -> Result<SuiteHost, AuthorError> {
    match start(program, stage).await? {
        Start::Serves { host, .. } => Ok(*host),
        Start::Ended { heard } => {
            Err(AuthorError::Failure(format!("Envoy does not serve: {}", last_words(&heard))))
        }
    }
}

/// How a start went, and all that was logged meanwhile.
enum Start {
    Serves { host: Box<SuiteHost>, heard: Vec<String> },
    Ended { heard: Vec<String> },
}

async fn start(program: &Path, stage: &Stage) -> Result<Start, AuthorError> {
    let failed =
        |error: std::io::Error| AuthorError::Failure(format!("a temporary directory: {error}"));
    let directory = tempfile::tempdir().map_err(failed)?;
    let (config, admin) = (directory.path().join("envoy.json"), directory.path().join("admin"));
    std::fs::write(&config, bootstrap(stage).to_string()).map_err(failed)?;
    let mut command = Command::new(program);
    command.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "info", "-c"]).arg(&config);
    command.arg("--admin-address-path").arg(&admin);
    let mut child = ChildLines::start(&mut command)
        .map_err(|error| AuthorError::Failure(format!("{}: {error}", program.display())))?;
    let mut heard = Vec::new();
    if !child.wait_for("starting main dispatch loop", START_PATIENCE, &mut heard).await {
        return Ok(Start::Ended { heard });
    }
    let statistics = std::fs::read_to_string(&admin).map_err(failed)?;
    let statistics: SocketAddr = statistics.trim().parse().map_err(|_| {
        AuthorError::Failure("Envoy does not say where its admin port is".to_owned())
    })?;
    let addresses = addresses(statistics, stage.configurations.len()).await?;
    let host =
        SuiteHost { child, addresses, statistics, dialect: Dialect::Envoy, _directory: directory };
    Ok(Start::Serves { host: Box::new(host), heard })
}

/// Why each case's filter is refused, by case: all that Envoy logs of it while it starts, on its own.
pub(crate) async fn refusal(
    program: &Path,
    stage: &Stage,
    case: usize,
) -> Result<Option<String>, AuthorError> {
    let mut alone = stage.clone();
    alone.configurations = stage.configurations.get(case).cloned().into_iter().collect();
    Ok(match start(program, &alone).await? {
        Start::Ended { heard } => Some(heard.join(" | ")),
        // An Envoy that was told to open when a plugin fails serves nevertheless; its log says why.
        Start::Serves { heard, .. } => {
            heard.iter().any(|line| line.contains("failed to load")).then(|| heard.join(" | "))
        }
    })
}

/// Once every listener is bound, Envoy says where.
async fn addresses(admin: SocketAddr, cases: usize) -> Result<Vec<SocketAddr>, AuthorError> {
    let until = Instant::now() + START_PATIENCE;
    loop {
        let page =
            read_page(admin, "/listeners?format=json").await.map_err(AuthorError::Failure)?;
        let listeners: Value = serde_json::from_str(&page).unwrap_or_default();
        let found: Option<Vec<SocketAddr>> =
            (0..cases).map(|case| address_of(&listeners, case)).collect();
        if let Some(found) = found {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(AuthorError::Failure("Envoy has not bound its listeners".to_owned()));
        }
        tokio::task::yield_now().await;
    }
}

fn address_of(listeners: &Value, case: usize) -> Option<SocketAddr> {
    let name = json!(format!("case-{case}"));
    let listener = listeners
        .get("listener_statuses")?
        .as_array()?
        .iter()
        .find(|listener| listener.get("name") == Some(&name))?;
    let port = listener.pointer("/local_address/socket_address/port_value")?.as_u64()?;
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn bootstrap(stage: &Stage) -> Value {
    let listeners: Vec<Value> =
        (0..stage.configurations.len()).map(|case| listener(stage, case)).collect();
    let mut clusters: Vec<Value> =
        stage.services.iter().map(|(name, address)| cluster(name, *address)).collect();
    clusters.push(cluster("upstream.test", stage.upstream));
    json!({
        "node": { "id": "suite", "cluster": "suite" },
        "admin": { "address": socket(SocketAddr::from(([127, 0, 0, 1], 0))) },
        "static_resources": { "listeners": listeners, "clusters": clusters },
    })
}

fn listener(stage: &Stage, case: usize) -> Value {
    let wasm = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": format!("case-{case}"),
            "root_id": "",
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": stage.configuration_text(case),
            },
            "vm_config": {
                "vm_id": format!("case-{case}"),
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": stage.module } },
            },
        },
    });
    let router =
        json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    let mut filters = vec![
        json!({ "name": "envoy.filters.http.wasm", "typed_config": wasm }),
        json!({ "name": "envoy.filters.http.router", "typed_config": router }),
    ];
    if let Some(keys) = &stage.keys {
        filters.insert(0, authentication(keys));
    }
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "suite",
        "route_config": {
            "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "upstream.test", "timeout": "0s" } }],
            }],
        },
        "http_filters": filters,
    });
    json!({
        "name": format!("case-{case}"),
        "address": socket(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

/// As Istio has Envoy verify tokens: one may be missing, and its payload goes under `payload`.
fn authentication(keys: &str) -> Value {
    let provider = json!({
        "issuer": ISSUER,
        "local_jwks": { "inline_string": keys },
        "payload_in_metadata": "payload",
    });
    let requirements = json!([{ "provider_name": "suite" }, { "allow_missing": {} }]);
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "suite": provider },
            "rules": [{
                "match": { "prefix": "/" },
                "requires": { "requires_any": { "requirements": requirements } },
            }],
        },
    })
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(address) } }] }],
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
