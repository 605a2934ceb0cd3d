//! `portcullis serve`: the gateway's process, from start to the end of its drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use portcullis_admin::{AdminState, Readiness, ServerInfo, SetLogLevel};
use portcullis_edge::{Idle, Settings as EdgeSettings, Workers};
use portcullis_message::TrustedProxies;
use portcullis_proxy::{DebugHeaders, Drain, WorkerSettings};
use portcullis_snapshot::{Compiler, PluginHost, Published};
use portcullis_sources::{FileSource, ReloadHandle};
use portcullis_telemetry::{AccessLog, AccessLogFormat, LogTarget, Registry};
use portcullis_wasm::Engine;
use tokio::sync::oneshot;

use super::{control_runtime, require_paths};
use crate::args::ServeArguments;
use crate::builtin::builtin;
use crate::command_error::CommandError;
use crate::control::{Applied, Control, ControlParts};
use crate::ready_file::SidePorts;
use crate::signals::{Signal, Signals};
use crate::topology::trusted_proxies;
use crate::{log, ready_file, side_ports, state_dir};

/// Serves until a signal ends it.
pub(crate) fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    if let Some(missing) = arguments.unserved() {
        return Err(CommandError::Usage(missing.to_owned()));
    }
    require_paths(&arguments.config)?;
    let set_log_level = log::start(&arguments.log_level).map_err(CommandError::Usage)?;
    if let Some(directory) = &arguments.state_dir {
        state_dir::prepare(directory).map_err(CommandError::Failure)?;
    }
    let runtime = control_runtime()?;
    runtime.block_on(run(arguments, set_log_level))
}

/// What the process consists of.
struct Process {
    arguments: ServeArguments,
    control: Control,
    source: FileSource,
    admin: AdminState,
    ports: SidePorts,
    signals: Signals,
}

async fn run(
    arguments: ServeArguments,
    set_log_level: SetLogLevel,
) -> Result<ExitCode, CommandError> {
    let mut process = start(arguments, set_log_level).await?;
    process.serve_until_drained().await;
    // Whatever the drain cut off is recorded too.
    process.admin.workers.shut_down();
    if let Some(log) = &process.admin.access_log {
        log.flush();
    }
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

async fn start(
    arguments: ServeArguments,
    set_log_level: SetLogLevel,
) -> Result<Process, CommandError> {
    let signals = Signals::listen()
        .map_err(|error| CommandError::failure("signals cannot be handled", error))?;
    let registry = Registry::new();
    let engine = Engine::new()
        .map_err(|error| CommandError::failure("the Wasm engine does not start", error))?;
    let worker_count = arguments.workers.map_or_else(usable_cores, Into::into);
    let host = PluginHost::new(engine, registry.clone(), builtin, worker_count);
    let compiler = Compiler::new(registry.clone(), Some(host));
    let published = Published::new(compiler.empty());
    let access_log = open_access_log(&arguments)?;
    let workers = Workers::start(
        edge_settings(&arguments, worker_count),
        WorkerSettings {
            published: published.clone(),
            access_log: access_log.clone(),
            debug_headers: if arguments.debug_headers {
                DebugHeaders::On
            } else {
                DebugHeaders::Off
            },
            trusted: Arc::new(trusted_proxies(&arguments)),
            drain: Drain::default(),
        },
    );
    let workers = Arc::new(
        workers.map_err(|error| CommandError::failure("the workers do not start", error))?,
    );
    let admin = AdminState {
        readiness: Arc::new(Readiness::default()),
        published: published.clone(),
        workers: workers.clone(),
        registry: registry.clone(),
        access_log,
        server: ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("PORTCULLIS_COMMIT"),
            started: Instant::now(),
            workers: worker_count,
        },
        set_log_level,
    };
    let ports = side_ports::open(&arguments, &admin).await?;
    let control = Control::start(ControlParts { compiler, published, workers, registry })
        .map_err(|error| CommandError::failure("the control thread does not start", error))?;
    let source = FileSource::new(arguments.config.clone());
    Ok(Process { arguments, control, source, admin, ports, signals })
}

impl Process {
    /// Applies configurations as they come, one at a time, until a signal begins the drain and the drain is
    /// over. Plugins may take seconds to start; a signal does not wait for them.
    async fn serve_until_drained(&mut self) {
        let reload = self.source.reload_handle();
        let mut applying = None;
        loop {
            tokio::select! {
                update = self.source.latest_draft(), if applying.is_none() => {
                    applying = Some(self.control.apply(update.draft, update.problems));
                }
                applied = end_of(&mut applying) => {
                    applying = None;
                    let Some(applied) = applied else { return };
                    self.source.watch_also(applied.watch);
                    self.announce(applied.generation);
                }
                signal = self.signals.next() => match signal {
                    Signal::Reload => self.reload(&reload),
                    Signal::Terminate => return self.drain(self.arguments.drain_delay).await,
                    Signal::Interrupt => return self.drain(std::time::Duration::ZERO).await,
                },
            }
        }
    }

    fn reload(&self, reload: &ReloadHandle) {
        if let Some(log) = &self.admin.access_log {
            log.reopen();
        }
        reload.reload();
        tracing::info!("reload asked for");
    }

    /// Ready from the first configuration on. The ready file tells it, and where.
    fn announce(&self, generation: u64) {
        if self.admin.readiness.state().is_ok() {
            return;
        }
        let bound = self.admin.workers.bound();
        if bound.is_empty() && !self.admin.published.current().model.listeners.is_empty() {
            tracing::warn!("not ready: no listener could be opened; free a port and send SIGHUP");
            return;
        }
        self.admin.readiness.set_ready();
        if let Some(path) = &self.arguments.ready_file
            && let Err(error) = ready_file::write(path, generation, &bound, &self.ports)
        {
            tracing::error!(path = %path.display(), %error, "the ready file cannot be written");
        }
        tracing::info!(generation, "ready");
    }

    /// Readiness fails at once; the listeners accept through the delay; then what is in flight ends.
    /// A second signal ends everything.
    async fn drain(&mut self, delay: std::time::Duration) {
        self.admin.readiness.set_draining();
        let workers = self.admin.workers.clone();
        workers.begin_drain();
        let timeout = self.arguments.drain_timeout;
        tracing::info!(?delay, ?timeout, "draining");
        let drained = async {
            tokio::time::sleep(delay).await;
            workers.stop_accepting();
            workers.wait_idle(timeout).await
        };
        tokio::select! {
            idle = drained => match idle {
                Idle::Reached => tracing::info!("drained"),
                Idle::StillActive(left) => tracing::warn!(connections = left, "drain timeout: cutting what is left"),
            },
            () = self.signals.next_end() => tracing::warn!("a second signal: ending at once"),
        }
    }
}

/// Waits for what is being applied, for ever where nothing is; `None` where the control thread is gone.
async fn end_of(applying: &mut Option<oneshot::Receiver<Applied>>) -> Option<Applied> {
    match applying {
        Some(applied) => applied.await.ok(),
        None => std::future::pending().await,
    }
}

/// The cores that this process may use, cgroup limits included.
fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn edge_settings(arguments: &ServeArguments, workers: usize) -> EdgeSettings {
    EdgeSettings {
        bind: arguments.bind.clone(),
        port_map: arguments
            .port_map
            .iter()
            .map(|mapping| (mapping.resource, mapping.bound))
            .collect(),
        workers,
        ..EdgeSettings::default()
    }
}

fn open_access_log(arguments: &ServeArguments) -> Result<Option<AccessLog>, CommandError> {
    let format = match arguments.access_log.as_str() {
        "off" => return Ok(None),
        "text" => AccessLogFormat::text(),
        "json" => AccessLogFormat::json(),
        format => AccessLogFormat::compile(format)
            .map_err(|error| CommandError::Usage(format!("--access-log: {error}")))?,
    };
    let target = match arguments.access_log_path.as_os_str().to_str() {
        Some("-") => LogTarget::Stdout,
        _ => LogTarget::File(arguments.access_log_path.clone()),
    };
    AccessLog::open(format, target).map(Some).map_err(|error| {
        CommandError::failure(&arguments.access_log_path.display().to_string(), error)
    })
}
