//! Health: ready only while the gateway serves and is not on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{Method, Response, StatusCode, Uri};
use portcullis_message::{Health, HealthPath};

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Whether traffic should be sent here.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// A snapshot is published and the listeners accept.
    pub fn set_ready(&self) {
        // A drain is never taken back.
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The process is on its way out.
    pub fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// `LIVE`, or why not.
    pub fn state(&self) -> Result<&'static str, &'static str> {
        match self.0.load(Ordering::Acquire) {
            READY => Ok("LIVE"),
            DRAINING => Err("DRAINING"),
            _ => Err("INITIALIZING: waiting for a configuration and its listeners"),
        }
    }
}

/// `/healthz/ready`, for the load balancer and the kubelet, over HTTP/1.0, HTTP/1.1 and HTTP/2 by prior knowledge, and
/// what gRPC target groups ask for.
pub fn health_router(readiness: Arc<Readiness>) -> Router {
    Router::new().route("/healthz/ready", get(ready)).fallback(reserved).with_state(readiness)
}

/// The paths that are reserved on traffic ports are answered here too.
async fn reserved(
    State(readiness): State<Arc<Readiness>>,
    method: Method,
    uri: Uri,
) -> Response<Body> {
    let Some(path) = HealthPath::of(uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let health = readiness.state().map_or_else(Health::NotServing, |_| Health::Serving);
    path.reply(&method, health).map(Body::new)
}

pub(crate) async fn ready(State(readiness): State<Arc<Readiness>>) -> (StatusCode, &'static str) {
    match readiness.state() {
        Ok(state) => (StatusCode::OK, state),
        Err(state) => (StatusCode::SERVICE_UNAVAILABLE, state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_never_taken_back() {
        let readiness = Readiness::default();
        assert!(readiness.state().is_err());
        readiness.set_ready();
        assert!(readiness.state().is_ok());
        readiness.set_draining();
        readiness.set_ready();
        assert_eq!(readiness.state(), Err("DRAINING"));
    }
}
