//! The plugins that the binary carries, as `builtin:NAME` names them.

/// The module of a shipped plugin.
pub(crate) fn builtin(name: &str) -> Option<&'static [u8]> {
    match name {
        "jwt-auth" => Some(include_bytes!(concat!(env!("PORTCULLIS_PLUGINS"), "/jwt-auth.wasm"))),
        "telemetry" => Some(include_bytes!(concat!(env!("PORTCULLIS_PLUGINS"), "/telemetry.wasm"))),
        _ => None,
    }
}
