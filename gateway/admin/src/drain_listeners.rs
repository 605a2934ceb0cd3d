//! `POST /drain_listeners`: a drain that does not end the process. The semantics are Envoy's, but that readiness
//! fails with it: <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#post--drain_listeners>.

use std::collections::HashMap;

use axum::extract::{Query, State};

use crate::listener_drain::ListenerDrain;
use crate::state::AdminState;

pub(crate) async fn drain_listeners(
    State(state): State<AdminState>,
    Query(query): Query<HashMap<String, String>>,
) -> &'static str {
    (state.drain_listeners)(ListenerDrain::of(&query));
    "OK\n"
}
