//! `/explain?url=…&method=…&header=name:value`: what the configuration that serves does with a request, with its
//! endpoints as they are at this moment.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use portcullis_snapshot::{RequestToExplain, describe, explain};

use crate::state::AdminState;

/// How to ask, for who asked otherwise.
const USAGE: &str = "ask as /explain?url=http://shop.example.com/cart&method=GET&header=x-user:ann; header may be \
                     repeated, client=ADDRESS says who asks\n";

/// Answers with JSON, or with text where the client would rather have that.
pub(crate) async fn explain_page(
    State(state): State<AdminState>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let request = match read_request(&query) {
        Ok(request) => request,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("{error}; {USAGE}")).into_response();
        }
    };
    let explanation = explain(&state.published.current(), &request);
    if prefers_text(&headers) {
        return describe(&request, &explanation).into_response();
    }
    match serde_json::to_string_pretty(&explanation) {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], format!("{json}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn read_request(query: &[(String, String)]) -> Result<RequestToExplain, String> {
    let one = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    let url = one("url").ok_or("`url` is missing")?;
    let mut request = RequestToExplain::new(one("method").unwrap_or("GET"), url)?;
    for (name, value) in query {
        match name.as_str() {
            "url" | "method" => {}
            "header" => request.add_field(value)?,
            "client" => {
                let refused = || format!("`{value}` is not an address");
                request.client = Some(value.parse().map_err(|_| refused())?);
            }
            _ => return Err(format!("there is no parameter `{name}`")),
        }
    }
    Ok(request)
}

fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accept.contains("text/") && !accept.contains("application/json")
}
