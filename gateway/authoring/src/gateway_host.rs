//! This gateway as a suite's host: the binary itself, on manifests made for the suite.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::author_error::AuthorError;
use crate::child_lines::ChildLines;
use crate::suite_client::read_page;
use crate::suite_host::{Dialect, START_PATIENCE, SuiteHost, last_words};
use crate::suite_stage::Stage;
use crate::tried_manifests::{NAMESPACE, as_file, served_plugin, service, token_keys, upstream};

/// The port of the first case; bound to free ones.
const FIRST_PORT: usize = 10_000;

/// How often a gateway is asked whether its plugins are loaded.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

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
    let admin = ready.get("admin").and_then(parse_address);
    let (Some(addresses), Some(statistics), Some(admin)) = (addresses, statistics, admin) else {
        let message = format!("the gateway does not say where it serves: {ready}");
        return Err(AuthorError::Failure(message));
    };
    until_loaded(admin).await?;
    let dialect = Dialect::Portcullis;
    Ok(SuiteHost { child, addresses, statistics, dialect, _directory: directory })
}

/// A gateway serves before a large module is compiled, and refuses what the plugin should have seen.
async fn until_loaded(admin: SocketAddr) -> Result<(), AuthorError> {
    let until = Instant::now() + START_PATIENCE;
    while read_page(admin, "/plugins").await.map_err(AuthorError::Failure)?.contains("\"loading\"")
    {
        if Instant::now() > until {
            return Err(AuthorError::Failure("the plugins take too long to load".to_owned()));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(())
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
pub(crate) fn clear_environment(command: &mut Command) {
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
    std::fs::write(config.join("suite.yaml"), as_file(&manifests(stage))).map_err(failed)?;
    Ok(directory)
}

fn manifests(stage: &Stage) -> Vec<Value> {
    let mut all = vec![upstream(stage.upstream)];
    all.extend(stage.keys.as_deref().map(token_keys));
    for (nth, (cluster, address)) in stage.services.iter().enumerate() {
        all.extend(service(nth, cluster, *address));
    }
    for (case, configuration) in stage.configurations.iter().enumerate() {
        let name = format!("case-{case}");
        all.extend(served_plugin(
            &name,
            FIRST_PORT + case,
            &stage.module,
            configuration.as_ref(),
            stage.strictness,
        ));
    }
    all
}
