//! The three ports that are not traffic: 15021 health, 15020 metrics, 15000 admin.
//!
//! What it is *not*: it serves no user's request and changes no configuration. All of it runs on the control
//! runtime; a request never waits for it.

mod admin_port;
mod bounded;
mod certificates;
mod cluster_dump;
mod clusters;
mod config_dump;
mod drain_listeners;
mod explain_page;
mod guard;
mod health;
mod listener_drain;
mod metrics;
mod plugin_dump;
mod port;
mod state;
mod tables;

pub use admin_port::admin_router;
pub use health::{Readiness, health_router};
pub use listener_drain::{DrainListeners, ListenerDrain};
pub use metrics::metrics_router;
pub use port::{PortPhase, serve};
pub use state::{AdminState, ServerInfo, SetLogLevel};
pub use tables::bound_json;
