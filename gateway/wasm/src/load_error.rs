//! Why a plugin never came to serve, and what to do about it.

use crate::effects::{FaultKind, PluginFault};

/// Why a module or a plugin was refused. Each message names the offender and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The module is larger than the limit.
    #[error(
        "the module has {size} bytes, the limit is {limit}; strip its debug information or build it for size"
    )]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The module consists of too much of something to be compiled in bounded time.
    #[error(
        "the module has {found} {what}, the limit is {limit}; build it with optimisation, and split what is generated"
    )]
    TooComplex {
        /// Of what.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much it may have.
        limit: u64,
    },
    /// What the module may touch does not go together with what it says it does.
    #[error("{reason}; see `portcullis.dev/capabilities`")]
    Capabilities {
        /// What does not fit.
        reason: String,
    },
    /// The plugin cannot run each request in a sandbox of its own.
    #[error(
        "the plugin cannot run with `portcullis.dev/isolation: request`: {reason}; change that, or write `worker`"
    )]
    Isolation {
        /// What stands in the way.
        reason: String,
    },
    /// The bytes are no module that can be compiled.
    #[error(
        "the module does not compile: {0}; build it for wasm32 without threads, memory64 or components"
    )]
    Compile(String),
    /// The module imports what no Proxy-Wasm host offers, or in another form.
    #[error(
        "the module imports `{module}.{name}`, {reason}; build it against Proxy-Wasm 0.2.1 without further host interfaces"
    )]
    Import {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The module is no Proxy-Wasm module of a version served here.
    #[error("{0}; build it with a Proxy-Wasm SDK (ABI 0.1.0, 0.2.0 or 0.2.1)")]
    Abi(String),
    /// The module exports no allocator.
    #[error(
        "the module exports neither `malloc` nor `proxy_on_memory_allocate` of type (i32) -> i32; export one of them"
    )]
    Allocator,
    /// The guest failed while it was started.
    #[error("the plugin failed while starting, in {callback}: {fault}{}{log}", lines(&fault.backtrace))]
    Start {
        /// What was running.
        callback: &'static str,
        /// How it failed.
        fault: PluginFault,
        /// The guest's last log lines, each on a line of its own.
        log: GuestLog,
    },
    /// The guest said no to its configuration.
    #[error(
        "the plugin refused its configuration ({callback} returned false); correct `pluginConfig`{log}"
    )]
    Refused {
        /// The callback that returned false.
        callback: &'static str,
        /// The guest's last log lines.
        log: GuestLog,
    },
    /// The start ran over one of its budgets.
    #[error(
        "the plugin ran over its budget while starting, in {callback}: {fault}; raise it in the annotation `portcullis.dev/limits` or make the plugin cheaper{log}"
    )]
    Budget {
        /// What was running.
        callback: &'static str,
        /// Which budget.
        fault: PluginFault,
        /// The guest's last log lines.
        log: GuestLog,
    },
}

impl LoadError {
    /// The error of a start that ended in a fault.
    pub(crate) fn of_start(callback: &'static str, fault: PluginFault, log: GuestLog) -> Self {
        match fault.kind {
            FaultKind::Deadline | FaultKind::Memory => LoadError::Budget { callback, fault, log },
            FaultKind::Trap | FaultKind::Dead => LoadError::Start { callback, fault, log },
        }
    }
}

/// The last lines that a guest logged before it was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestLog(pub Vec<String>);

impl std::fmt::Display for GuestLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, line) in self.0.iter().enumerate() {
            let lead = if nth == 0 { "; its log: " } else { " | " };
            write!(f, "{lead}{line}")?;
        }
        Ok(())
    }
}

fn lines(backtrace: &str) -> String {
    if backtrace.is_empty() { String::new() } else { format!("\n{backtrace}") }
}
