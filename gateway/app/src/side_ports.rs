//! Binding the ports that are not traffic: 15021, 15020, 15000.

use std::net::SocketAddr;

use portcullis_admin::{AdminState, admin_router, health_router, metrics_router, serve};
use tokio::net::TcpListener;

use crate::args::{Port, ServeArguments};
use crate::command_error::CommandError;
use crate::ready_file::SidePorts;

/// Binds and serves those that are on. Health answers from now on: not ready, at first.
pub(crate) async fn open(
    arguments: &ServeArguments,
    state: &AdminState,
) -> Result<SidePorts, CommandError> {
    Ok(SidePorts {
        status: open_port("--status", arguments.status, health_router(state.readiness.clone()))
            .await?,
        metrics: open_port("--metrics", arguments.metrics, metrics_router(state.clone())).await?,
        admin: open_port("--admin", arguments.admin, admin_router(state.clone())).await?,
    })
}

async fn open_port(
    option: &str,
    port: Port,
    router: axum::Router,
) -> Result<Option<SocketAddr>, CommandError> {
    let Port::On(wanted) = port else { return Ok(None) };
    let failure = |error: std::io::Error| {
        CommandError::Failure(format!(
            "{option} {wanted} cannot be bound: {error}; choose another, or `off`"
        ))
    };
    let listener = TcpListener::bind(wanted).await.map_err(failure)?;
    let bound = listener.local_addr().map_err(failure)?;
    let name = option.trim_start_matches('-').to_owned();
    tokio::spawn(async move {
        if let Err(error) = serve(listener, router).await {
            tracing::error!(port = name, %error, "a port ended");
        }
    });
    Ok(Some(bound))
}
