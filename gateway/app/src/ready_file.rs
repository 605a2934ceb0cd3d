//! `--ready-file`: every bound address by name, written atomically once traffic is accepted.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_admin::bound_json;
use portcullis_edge::BoundListener;
use serde_json::{Value, json};

/// Where the ports that are not traffic are bound; `None` for one that is off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SidePorts {
    /// Health.
    pub status: Option<SocketAddr>,
    /// Metrics.
    pub metrics: Option<SocketAddr>,
    /// Admin.
    pub admin: Option<SocketAddr>,
}

/// Writes the file beside itself first, so that a reader sees all of it or nothing.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn write(
    path: &Path,
    generation: u64,
    listeners: &[BoundListener],
    ports: &SidePorts,
) -> io::Result<()> {
    let text = format!("{:#}\n", content(generation, listeners, ports));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let beside = path.with_file_name(name);
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

fn content(generation: u64, listeners: &[BoundListener], ports: &SidePorts) -> Value {
    let address = |port: Option<SocketAddr>| port.map(|port| port.to_string());
    json!({
        "pid": std::process::id(),
        "generation": generation,
        "listeners": listeners.iter().map(bound_json).collect::<Vec<_>>(),
        "status": address(ports.status),
        "metrics": address(ports.metrics),
        "admin": address(ports.admin),
    })
}
