//! The three ports that are not traffic: 15021 health, 15020 metrics, 15000 admin.
//!
//! What it is *not*: it serves no user's request and changes no configuration. All of it runs on the control
//! runtime; a request never waits for it.

mod admin_port;
mod config_dump;
mod guard;
mod health;
mod metrics;
mod state;
mod tables;

pub use admin_port::admin_router;
pub use health::{Readiness, health_router};
pub use metrics::metrics_router;
pub use state::{AdminState, ServerInfo, SetLogLevel};
pub use tables::bound_json;

use axum::Router;
use tokio::net::TcpListener;

/// Serves a port until the process ends.
///
/// # Errors
/// Where the socket fails for good.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    axum::serve(listener, router).await
}
