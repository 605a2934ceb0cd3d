//! What the ports tell about.

use std::sync::Arc;
use std::time::Instant;

use portcullis_edge::Workers;
use portcullis_snapshot::Published;
use portcullis_telemetry::{AccessLog, Registry};

use crate::{DrainListeners, Readiness};

/// Changes the level of the program's own log; says what is wrong with a level that does not exist.
pub type SetLogLevel = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Everything that the ports read.
#[derive(Clone)]
pub struct AdminState {
    /// Whether the gateway is ready.
    pub readiness: Arc<Readiness>,
    /// The snapshots.
    pub published: Arc<Published>,
    /// The workers, for their metrics and listeners.
    pub workers: Arc<Workers>,
    /// The process-wide metrics.
    pub registry: Arc<Registry>,
    /// The access log, for its dropped lines.
    pub access_log: Option<AccessLog>,
    /// What `/server_info` says.
    pub server: ServerInfo,
    /// Changes the level of the program's own log.
    pub set_log_level: SetLogLevel,
    /// Begins a drain that does not end the process.
    pub drain_listeners: DrainListeners,
}

/// What `/server_info` says.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The version.
    pub version: &'static str,
    /// The commit that it was built from.
    pub commit: &'static str,
    /// When the process started.
    pub started: Instant,
    /// Worker threads.
    pub workers: usize,
}
