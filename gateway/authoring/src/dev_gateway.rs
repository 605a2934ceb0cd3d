//! The gateway of `plugin dev`: the binary on loopback, with the plugin on its one Gateway.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_crypto::sha256;
use serde_json::Value;
use tokio::process::Command;

use crate::author_error::AuthorError;
use crate::child_lines::ChildLines;
use crate::dev_settings::DevSettings;
use crate::gateway_host::clear_environment;
use crate::project::Project;
use crate::suite_host::{START_PATIENCE, last_words};
use crate::suite_stage::Strictness;
use crate::tried_manifests::{as_file, served_plugin, service, upstream};

/// What the access log of each request looks like, behind the mark that tells it from other lines.
const REQUEST_MARK: &str = "REQUEST ";
const REQUEST_LINE: &str = "REQUEST %REQ(:METHOD)% %REQ(:PATH)% -> %RESPONSE_CODE% in %DURATION% ms %RESPONSE_CODE_DETAILS%";

/// A running gateway; it ends when dropped.
pub(crate) struct DevGateway {
    /// Where it serves.
    pub address: SocketAddr,
    name: String,
    child: ChildLines,
    manifest: PathBuf,
    written: String,
    services: Vec<Value>,
    module: PathBuf,
    /// The module's digest, as it was last renewed.
    served: Option<[u8; 32]>,
    _directory: tempfile::TempDir,
}

/// What it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A new generation serves.
    Applied,
    /// Something that an author wants to see.
    Line(String),
}

/// Whether a gateway has something new to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// It has.
    Something,
    /// What was saved changes neither module nor configuration.
    Nothing,
}

impl DevGateway {
    /// Starts it on a module.
    pub(crate) async fn start(
        settings: &DevSettings,
        project: &Project,
        module: &Path,
        echo: SocketAddr,
        services: BTreeMap<String, SocketAddr>,
    ) -> Result<Self, AuthorError> {
        let failed =
            |error: std::io::Error| AuthorError::Failure(format!("a temporary directory: {error}"));
        let directory = tempfile::tempdir().map_err(failed)?;
        let config = directory.path().join("config");
        fs::create_dir(&config).map_err(failed)?;
        let mut objects = vec![upstream(echo)];
        objects.extend(
            services
                .iter()
                .enumerate()
                .flat_map(|(nth, (name, address))| service(nth, name, *address)),
        );
        let ready_file = directory.path().join("ready.json");
        let child =
            ChildLines::start(&mut command(settings, &config, &ready_file)).map_err(|error| {
                AuthorError::Failure(format!("{}: {error}", settings.program.display()))
            });
        let mut gateway = DevGateway {
            address: SocketAddr::from(([127, 0, 0, 1], settings.port)),
            name: project.name.clone(),
            manifest: config.join("plugin.yaml"),
            written: String::new(),
            services: objects,
            module: module.to_owned(),
            served: None,
            child: child?,
            _directory: directory,
        };
        gateway.renew(project)?;
        gateway.wait_until_ready(&ready_file).await?;
        Ok(gateway)
    }

    /// Writes the plugin's manifest where its configuration has changed; the module itself is watched by the gateway.
    ///
    /// # Errors
    /// The configuration is no YAML, or the manifest cannot be written.
    pub(crate) fn renew(&mut self, project: &Project) -> Result<Renewed, AuthorError> {
        let configuration = project.configuration()?;
        let mut objects = self.services.clone();
        objects.extend(served_plugin(
            &project.name,
            80,
            &self.module,
            configuration.as_ref(),
            Strictness::Lenient,
        ));
        let text = as_file(&objects);
        let served = fs::read(&self.module).ok().map(|module| sha256(&module));
        let is_same = served == self.served;
        self.served = served;
        if text == self.written {
            return Ok(if is_same { Renewed::Nothing } else { Renewed::Something });
        }
        let partial = self.manifest.with_file_name(".plugin.yaml");
        fs::write(&partial, &text).map_err(|error| AuthorError::file(&partial, &error))?;
        fs::rename(&partial, &self.manifest)
            .map_err(|error| AuthorError::file(&self.manifest, &error))?;
        self.written = text;
        Ok(Renewed::Something)
    }

    /// What it says next; `None` when it has ended.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(said) = understand(&self.child.line().await?, &self.name) {
                return Some(said);
            }
        }
    }

    async fn wait_until_ready(&mut self, ready_file: &Path) -> Result<(), AuthorError> {
        let mut heard = Vec::new();
        if !self.child.wait_for(" ready generation=", START_PATIENCE, &mut heard).await {
            return Err(AuthorError::Failure(format!(
                "the gateway does not serve: {}",
                last_words(&heard)
            )));
        }
        let ready = fs::read(ready_file).map_err(|error| AuthorError::file(ready_file, &error))?;
        let ready: Value = serde_json::from_slice(&ready).unwrap_or_default();
        let address = ready
            .pointer("/listeners/0/address")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        self.address = address.ok_or_else(|| {
            AuthorError::Failure(format!("the gateway does not say where it serves: {ready}"))
        })?;
        Ok(())
    }
}

fn command(settings: &DevSettings, config: &Path, ready_file: &Path) -> Command {
    let mut command = Command::new(&settings.program);
    command.args([
        "serve",
        "--workers",
        "1",
        "--bind",
        "127.0.0.1",
        "--status",
        "off",
        "--metrics",
        "off",
        "--admin",
        "off",
    ]);
    command.args(["--port-map", &format!("80={}", settings.port), "--access-log", REQUEST_LINE]);
    command.arg("--config").arg(config).arg("--ready-file").arg(ready_file);
    clear_environment(&mut command);
    command
}

/// Requests, what the plugin logs, what is wrong; not how the gateway fares.
fn understand(line: &str, name: &str) -> Option<Said> {
    if let Some(request) = line.strip_prefix(REQUEST_MARK) {
        return Some(Said::Line(request.to_owned()));
    }
    if line.contains("configuration applied") {
        return Some(Said::Applied);
    }
    let matters =
        line.contains("plugin=") || [" WARN ", " ERROR "].iter().any(|level| line.contains(level));
    // The time stands before the level, and the author knows what time it is.
    let told = line.split_once(' ').map_or(line, |(_, rest)| rest.trim_start());
    matters.then(|| Said::Line(for_the_author(told, name)))
}

/// A line of the log without what an author of one plugin knows anyway: its object, and frames of others' code.
fn for_the_author(line: &str, name: &str) -> String {
    let (line, backtrace) = line.split_once(" backtrace=").unwrap_or((line, ""));
    let line = line.split(" plugin=").next().unwrap_or(line).replace("\\n", "\n      ");
    let own = name.replace('-', "_");
    let frame = backtrace.split(" | ").find(|frame| frame.contains(&own));
    match frame.and_then(|frame| frame.split_once('!')) {
        Some((_, function)) => format!("{line}\n      in {function}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_what_a_plugin_says_are_told() {
        let line = |text: &str| understand(text, "my-filter");
        assert_eq!(line("REQUEST GET / -> 200"), Some(Said::Line("GET / -> 200".to_owned())));
        assert_eq!(
            line("2026-11-24T19:00:00Z  INFO configuration applied generation=2"),
            Some(Said::Applied)
        );
        assert_eq!(line("2026-11-24T19:00:00Z  INFO listening"), None);
        let panic =
            "T ERROR panicked at src/lib.rs:35:43:\\ngone plugin=\"WasmPlugin/suite/my-filter\"";
        assert_eq!(
            line(panic),
            Some(Said::Line("ERROR panicked at src/lib.rs:35:43:\n      gone".to_owned()))
        );
    }

    #[test]
    fn of_a_backtrace_the_authors_own_frame_is_told() {
        let trap = "T ERROR the instance failed plugin=\"x\" kind=trap backtrace=0: 0x1 - <unknown>!std[7]::abort | 1: 0x2 - <unknown>!my_filter[a]::check";
        let told = "ERROR the instance failed\n      in my_filter[a]::check";
        assert_eq!(understand(trap, "my-filter"), Some(Said::Line(told.to_owned())));
    }
}
