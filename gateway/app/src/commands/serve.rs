//! `portcullis serve`: the gateway's process, from start to the end of its drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use portcullis_admin::{AdminState, Readiness, ServerInfo, SetLogLevel};
use portcullis_discovery::{Discovery, DiscoverySettings, KeyNews, KeySettings, Keys};
use portcullis_edge::{Settings as EdgeSettings, Workers};
use portcullis_proxy::{DebugHeaders, Drain, Overload, WorkerSettings};
use portcullis_snapshot::{Compiler, Published};
use portcullis_sources::FileSource;
use portcullis_telemetry::{AccessLog, AccessLogFormat, LogTarget, Registry};
use portcullis_upstream::Upkeep;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::args::ServeArguments;
use crate::command_error::CommandError;
use crate::compatibility::Compatibility;
use crate::configuration::{control_runtime, require_paths};
use crate::control::{Control, ControlParts, Jobs};
use crate::inheritance::take_over;
use crate::locality::home;
use crate::memory::Memory;
use crate::overload::{Overloaded, watch};
use crate::own_binary::OwnCommand;
use crate::plugin_supply::{authorities, plugin_host};
use crate::process::Process;
use crate::side_ports::SideListeners;
use crate::signals::Signals;
use crate::topology::trusted_proxies;
use crate::{descriptors, log, state_dir};

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
    let own = OwnCommand::of_this_process()
        .map_err(|error| CommandError::failure("the program's own path is unknown", error))?;
    let signals = Signals::listen()
        .map_err(|error| CommandError::failure("signals cannot be handled", error))?;
    let registry = Registry::new();
    let worker_count = arguments.workers.map_or_else(usable_cores, Into::into);
    let (upkeep, ask) = Upkeep::new();
    tokio::spawn(upkeep.run());
    let workload = arguments.workload.workload();
    let home = home(arguments.locality.as_ref(), workload.labels.clone(), Some(ask));
    let jobs = Jobs::new();
    let plugins = plugin_host(&arguments, &registry, worker_count, jobs.plugin_news())?;
    let keys = keys(&arguments, &registry, jobs.plugin_news())?;
    let compiler = Compiler::new(registry.clone(), Some(plugins)).with_home(home);
    let published = Published::new(compiler.empty());
    let discovery = Arc::new(discovery(&arguments, &registry));
    let settings = worker_settings(&arguments, &published, &registry, &discovery)?;
    let (access_log, overload) = (settings.access_log.clone(), settings.overload.clone());
    let trusted = settings.trusted.clone();
    let workers = Workers::start(edge_settings(&arguments, worker_count), settings);
    let workers = Arc::new(
        workers.map_err(|error| CommandError::failure("the workers do not start", error))?,
    );
    let (predecessor, mut inherited) = take_over(&workers)
        .map_err(|error| CommandError::failure("the old process hands nothing over", error))?;
    watch_memory(&arguments, overload, &workers, &registry);
    let (ask, drains) = mpsc::unbounded_channel();
    let admin = AdminState {
        readiness: Arc::new(Readiness::default()),
        published: published.clone(),
        workers: workers.clone(),
        registry: registry.clone(),
        access_log,
        server: server_info(worker_count),
        set_log_level,
        drain_listeners: Arc::new(move |how| {
            // Nobody hears it in a process that is ending.
            let _ = ask.send(how);
        }),
    };
    let mut sides = SideListeners::open(&arguments, &admin, &mut inherited)?;
    if predecessor.is_none() {
        sides.serve().map_err(|error| CommandError::failure("the side ports", error))?;
    }
    descriptors::report();
    let parts = ControlParts {
        compiler,
        compat: arguments.compat,
        workload,
        trusted,
        published,
        workers,
        discovery,
        keys,
        runtime: Handle::current(),
        registry,
    };
    let control = Control::start(parts, jobs)
        .map_err(|error| CommandError::failure("the control thread does not start", error))?;
    let source = FileSource::new(arguments.config.clone());
    Ok(Process {
        arguments,
        control,
        source,
        admin,
        sides,
        signals,
        drains,
        own,
        predecessor,
        announced: false,
    })
}

fn discovery(arguments: &ServeArguments, registry: &Registry) -> Discovery {
    let dns_servers = arguments.dns_server.iter().map(|server| server.0).collect();
    let dynamic_allowed = arguments.dynamic_dns_allow.clone();
    let settings = DiscoverySettings { dns_servers, dynamic_allowed };
    Discovery::new(&settings, registry.discovery_counts().clone(), Handle::current())
}

/// Who fetches keys for tokens.
fn keys(
    arguments: &ServeArguments,
    registry: &Registry,
    news: KeyNews,
) -> Result<Keys, CommandError> {
    let settings = KeySettings {
        authorities: authorities("--jwks-ca", arguments.jwks_ca.as_deref())?,
        allowed: arguments.jwks_allow.clone(),
    };
    Keys::new(settings, registry.key_counts().clone(), Handle::current(), news)
        .map_err(|error| CommandError::failure("keys for tokens cannot be fetched", error))
}

fn worker_settings(
    arguments: &ServeArguments,
    published: &Arc<Published>,
    registry: &Registry,
    discovery: &Arc<Discovery>,
) -> Result<WorkerSettings, CommandError> {
    Ok(WorkerSettings {
        published: published.clone(),
        discovery: Some(discovery.clone()),
        access_log: open_access_log(arguments)?,
        debug_headers: if arguments.debug_headers { DebugHeaders::On } else { DebugHeaders::Off },
        trusted: Arc::new(trusted_proxies(arguments)),
        foreign_chain: Compatibility::foreign_chain(arguments.compat),
        unsafe_repeats: Compatibility::unsafe_repeats(arguments.compat),
        foreign_audience: Compatibility::foreign_audience(arguments.compat),
        alb_mtls: arguments.alb_mtls.into(),
        drain: Drain::default(),
        overload: Overload::default(),
        counts: registry.edge_counts().clone(),
    })
}

fn server_info(workers: usize) -> ServerInfo {
    ServerInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("PORTCULLIS_COMMIT"),
        started: Instant::now(),
        workers,
    }
}

/// Where no limit is known, nothing is watched.
fn watch_memory(
    arguments: &ServeArguments,
    overload: Overload,
    workers: &Arc<Workers>,
    registry: &Registry,
) {
    let Some(memory) = Memory::find(arguments.memory_limit) else { return };
    let (workers, counts) = (workers.clone(), registry.edge_counts().clone());
    tokio::spawn(watch(memory, Overloaded { overload, workers, counts }));
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
        max_connections: Some(descriptors::most_connections()),
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
