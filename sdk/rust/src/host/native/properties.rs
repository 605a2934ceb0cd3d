//! Properties at the mock host: what the test or the filter set, else what the exchange itself tells.

use super::call::first_text;
use super::state::{State, with_state};
use super::stream::{Headers, Stream};
use crate::HostError;

pub(crate) fn property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    let path = path.replace('\0', ".");
    with_state(|state| {
        let set = state.properties.get(&path).cloned();
        Ok(set.or_else(|| of_exchange(state, &path)))
    })
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    with_state(|state| state.properties.insert(path.replace('\0', "."), value.to_vec()));
    Ok(())
}

fn of_exchange(state: &State, path: &str) -> Option<Vec<u8>> {
    let stream = state.streams.get(&state.context)?;
    match path.split_once('.')? {
        ("request", name) => of_request(stream, name),
        ("response", name) => of_response(stream, name),
        _ => None,
    }
}

fn of_request(stream: &Stream, name: &str) -> Option<Vec<u8>> {
    let headers = &stream.request.headers.content;
    let first = |name: &str| first_text(headers, name);
    let text = match name {
        "method" => first(":method")?,
        "scheme" => first(":scheme")?,
        "host" => first(":authority")?,
        "path" => first(":path")?,
        "url_path" => first(":path")?.split('?').next()?,
        "query" => first(":path")?.split_once('?').map_or("", |(_, query)| query),
        "id" => first("x-request-id")?,
        "referer" => first("referer")?,
        "useragent" => first("user-agent")?,
        _ => return of_headers(headers, name),
    };
    Some(text.as_bytes().to_vec())
}

fn of_response(stream: &Stream, name: &str) -> Option<Vec<u8>> {
    let headers = &stream.response.headers.content;
    match name {
        "code" => {
            let code: i64 = first_text(headers, ":status")?.parse().ok()?;
            Some(code.to_le_bytes().to_vec())
        }
        _ => of_headers(headers, name),
    }
}

fn of_headers(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let name = name.strip_prefix("headers.")?;
    first_text(headers, name).map(|value| value.as_bytes().to_vec())
}
