//! Which parts of a message a module wants to see, told from its exports and imports.

/// What a plugin wants of messages beside their heads. A part that no plugin of a chain wants passes it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// `proxy_on_request_body`
    pub request_body: bool,
    /// `proxy_on_request_trailers`
    pub request_trailers: bool,
    /// `proxy_on_response_body`
    pub response_body: bool,
    /// `proxy_on_response_trailers`
    pub response_trailers: bool,
    /// `proxy_on_done`, `proxy_on_log` or `proxy_on_delete`
    pub end: bool,
    /// `proxy_on_downstream_data`
    pub downstream_data: bool,
    /// `proxy_on_upstream_data`
    pub upstream_data: bool,
    /// It imports `proxy_set_buffer_bytes`: without it no body changes its length.
    pub sets_bodies: bool,
}

impl Hooks {
    /// Reads them off a module.
    pub(crate) fn of(module: &wasmtime::Module) -> Self {
        let exports = |name| module.get_export(name).is_some();
        Hooks {
            request_body: exports("proxy_on_request_body"),
            request_trailers: exports("proxy_on_request_trailers"),
            response_body: exports("proxy_on_response_body"),
            response_trailers: exports("proxy_on_response_trailers"),
            end: ["proxy_on_done", "proxy_on_log", "proxy_on_delete"].into_iter().any(exports),
            downstream_data: exports("proxy_on_downstream_data"),
            upstream_data: exports("proxy_on_upstream_data"),
            sets_bodies: module.imports().any(|import| import.name() == "proxy_set_buffer_bytes"),
        }
    }
}
