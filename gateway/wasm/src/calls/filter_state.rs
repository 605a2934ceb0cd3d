//! Envoy's foreign functions about the request: leaving a value with it, and choosing its route anew.

use std::borrow::Cow;

use super::outcome::Outcome;
use super::properties::leave;
use super::protobuf::fields;
use crate::call_end::bad_argument;
use crate::state::GuestState;

/// Envoy's `envoy.source.extensions.common.wasm.SetEnvoyFilterStateArguments` in: path, value, and a span, which is
/// always the request here.
pub(super) fn set(state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let (mut path, mut value) = (&b""[..], &b""[..]);
    for field in fields(arguments) {
        let field = field.map_err(|_| {
            bad_argument("the arguments of `set_envoy_filter_state` are not its protobuf message")
        })?;
        match (field.number, field.bytes) {
            (1, Some(bytes)) => path = bytes,
            (2, Some(bytes)) => value = bytes,
            _ => {}
        }
    }
    leave(state, path, value)?;
    Ok(Cow::Borrowed(b""))
}

/// The route is chosen anew after the callback.
pub(super) fn clear_route_cache(state: &mut GuestState, _arguments: &[u8]) -> Outcome {
    super::contexts::clear_route_cache_of(state);
    Ok(Cow::Borrowed(b""))
}
