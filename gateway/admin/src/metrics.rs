//! Metrics for Prometheus.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use portcullis_telemetry::{PROMETHEUS_TEXT, render_clusters};

use crate::clusters::cluster_samples;
use crate::health::ready;
use crate::state::AdminState;

/// `/stats/prometheus`, and health beside it.
pub fn metrics_router(state: AdminState) -> Router {
    let health =
        Router::new().route("/healthz/ready", get(ready)).with_state(state.readiness.clone());
    Router::new()
        .route("/stats/prometheus", get(prometheus))
        .route("/metrics", get(prometheus))
        .with_state(state)
        .merge(health)
}

/// Collects every worker's shard and writes them as one.
pub(crate) async fn prometheus(State(state): State<AdminState>) -> Response {
    let text = rendered(&state).await;
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response()
}

pub(crate) async fn rendered(state: &AdminState) -> String {
    let shards = state.workers.collect_shards().await;
    state.registry.set_generations_alive(state.published.generations_alive());
    if let Some(log) = &state.access_log {
        state.registry.set_access_log_dropped(log.dropped());
        state.registry.set_access_log_write_errors(log.write_errors());
    }
    state.registry.edge_counts().set_connections(state.workers.active());
    let mut text = state.registry.render(&shards);
    text.push_str(&render_clusters(&cluster_samples(state)));
    text
}
