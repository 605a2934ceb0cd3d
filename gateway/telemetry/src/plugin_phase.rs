//! The phases of a plugin: what runs in it.

/// The phases of a plugin, named as everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PluginPhase {
    /// `on_request_headers`
    RequestHeaders,
    /// `on_request_body`
    RequestBody,
    /// `on_request_trailers`
    RequestTrailers,
    /// `on_response_headers`
    ResponseHeaders,
    /// `on_response_body`
    ResponseBody,
    /// `on_response_trailers`
    ResponseTrailers,
    /// `on_new_connection`
    NewConnection,
    /// `on_downstream_data`
    DownstreamData,
    /// `on_upstream_data`
    UpstreamData,
    /// `on_downstream_connection_close`, `on_upstream_connection_close`
    ConnectionClose,
    /// `on_done` and `on_log`
    Log,
    /// `on_tick`
    Tick,
    /// `on_queue_ready`
    QueueReady,
    /// The reply of a call that the plugin made.
    CallResponse,
    /// `on_delete`
    Delete,
    /// `on_context_create`
    ContextCreate,
}

impl PluginPhase {
    /// Every phase, in the order of their numbers.
    pub const ALL: [PluginPhase; 16] = [
        PluginPhase::RequestHeaders,
        PluginPhase::RequestBody,
        PluginPhase::RequestTrailers,
        PluginPhase::ResponseHeaders,
        PluginPhase::ResponseBody,
        PluginPhase::ResponseTrailers,
        PluginPhase::NewConnection,
        PluginPhase::DownstreamData,
        PluginPhase::UpstreamData,
        PluginPhase::ConnectionClose,
        PluginPhase::Log,
        PluginPhase::Tick,
        PluginPhase::QueueReady,
        PluginPhase::CallResponse,
        PluginPhase::Delete,
        PluginPhase::ContextCreate,
    ];

    /// The value of the label `phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginPhase::RequestHeaders => "on_request_headers",
            PluginPhase::RequestBody => "on_request_body",
            PluginPhase::RequestTrailers => "on_request_trailers",
            PluginPhase::ResponseHeaders => "on_response_headers",
            PluginPhase::ResponseBody => "on_response_body",
            PluginPhase::ResponseTrailers => "on_response_trailers",
            PluginPhase::NewConnection => "on_new_connection",
            PluginPhase::DownstreamData => "on_downstream_data",
            PluginPhase::UpstreamData => "on_upstream_data",
            PluginPhase::ConnectionClose => "on_connection_close",
            PluginPhase::Log => "on_log",
            PluginPhase::Tick => "on_tick",
            PluginPhase::QueueReady => "on_queue_ready",
            PluginPhase::CallResponse => "on_call_response",
            PluginPhase::Delete => "on_delete",
            PluginPhase::ContextCreate => "on_context_create",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_stands_at_its_number() {
        for (number, phase) in PluginPhase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
        }
    }
}
