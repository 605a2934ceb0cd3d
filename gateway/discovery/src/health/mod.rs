//! Active health checks: endpoints are asked whether they are well.

mod checks;
mod grpc_health;
mod http2_probe;
mod http_probe;
mod probe;
mod round;
mod verdict;

pub(crate) use checks::HealthChecks;
pub use grpc_health::{CheckReply, Serving};
