//! The admin port: what the gateway is doing, and its log level.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Query, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::certificates::certificates;
use crate::clusters::clusters;
use crate::config_dump::config_dump;
use crate::drain_listeners::drain_listeners;
use crate::explain_page::explain_page;
use crate::guard::refuse_foreigners;
use crate::metrics::{prometheus, rendered};
use crate::plugin_dump::plugins;
use crate::state::AdminState;
use crate::tables::{generations, listeners};

/// Every path of the admin port, with one line on each.
const INDEX: &str = "Portcullis admin\n\
    /certs                certificates, their names and how long they last; no keys\n\
    /clusters             endpoints and their load\n\
    /config_dump          the configuration that serves, and its problems; no secrets\n\
    /drain_listeners      POST: close the listeners and let what is in flight end; ?graceful waits first,\n\
    \x20                     ?graceful&skip_exit goes on accepting\n\
    /explain?url=URL      where a request goes and why; ?url=…&method=…&header=name:value, text or JSON by Accept\n\
    /generations          the latest configurations, and which of them requests still hold\n\
    /listeners            bound addresses\n\
    /logging?level=LEVEL  POST: change the level of the program's own log\n\
    /plugins              plugins: what runs, where they are attached, how they failed last\n\
    /ready                whether traffic should be sent here\n\
    /server_info          version and uptime\n\
    /stats                metrics, a line each\n\
    /stats/prometheus     metrics for Prometheus\n";

/// The admin port.
pub fn admin_router(state: AdminState) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route(
            "/certs",
            get(|State(state): State<AdminState>| async move { json_reply(&certificates(&state)) }),
        )
        .route(
            "/clusters",
            get(|State(state): State<AdminState>| async move { json_reply(&clusters(&state)) }),
        )
        .route(
            "/config_dump",
            get(|State(state): State<AdminState>| async move { json_reply(&config_dump(&state)) }),
        )
        .route(
            "/generations",
            get(|State(state): State<AdminState>| async move { json_reply(&generations(&state)) }),
        )
        .route(
            "/listeners",
            get(|State(state): State<AdminState>| async move { json_reply(&listeners(&state)) }),
        )
        .route(
            "/plugins",
            get(|State(state): State<AdminState>| async move { json_reply(&plugins(&state)) }),
        )
        .route("/drain_listeners", post(drain_listeners))
        .route("/explain", get(explain_page))
        .route("/logging", post(logging))
        .route("/ready", get(ready))
        .route("/server_info", get(server_info))
        .route("/stats", get(stats))
        .route("/stats/prometheus", get(prometheus))
        .layer(middleware::from_fn(refuse_foreigners))
        .with_state(state)
}

fn json_reply(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], format!("{value:#}\n")).into_response()
}

async fn ready(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    crate::health::ready(State(state.readiness)).await
}

async fn logging(
    State(state): State<AdminState>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(level) = query.get("level") else {
        return (StatusCode::BAD_REQUEST, "say which level, as in /logging?level=debug\n")
            .into_response();
    };
    match (state.set_log_level)(level) {
        Ok(()) => format!("level: {level}\n").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn server_info(State(state): State<AdminState>) -> Response {
    let server = &state.server;
    json_reply(&json!({
        "version": server.version,
        "commit": server.commit,
        "state": state.readiness.state().unwrap_or_else(|state| state),
        "uptime_seconds": server.started.elapsed().as_secs(),
        "workers": server.workers,
        "generation": state.published.current().generation,
        "pid": std::process::id(),
    }))
}

/// The samples of the Prometheus text without its comments.
async fn stats(State(state): State<AdminState>) -> String {
    let text = rendered(&state).await;
    text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect()
}
