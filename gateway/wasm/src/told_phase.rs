//! What runs in a guest, as metrics name it.

use portcullis_telemetry::PluginPhase;

use crate::state::Phase;

impl Phase {
    /// The phase as metrics name it.
    pub(crate) fn told(self) -> PluginPhase {
        match self {
            Phase::RequestHeaders => PluginPhase::RequestHeaders,
            Phase::RequestBody => PluginPhase::RequestBody,
            Phase::RequestTrailers => PluginPhase::RequestTrailers,
            Phase::ResponseHeaders => PluginPhase::ResponseHeaders,
            Phase::ResponseBody => PluginPhase::ResponseBody,
            Phase::ResponseTrailers => PluginPhase::ResponseTrailers,
            Phase::NewConnection => PluginPhase::NewConnection,
            Phase::DownstreamData => PluginPhase::DownstreamData,
            Phase::UpstreamData => PluginPhase::UpstreamData,
            Phase::ConnectionClose => PluginPhase::ConnectionClose,
            Phase::Log => PluginPhase::Log,
            Phase::Delete => PluginPhase::Delete,
            Phase::Tick => PluginPhase::Tick,
            Phase::QueueReady => PluginPhase::QueueReady,
            Phase::CallResponse => PluginPhase::CallResponse,
            Phase::Boot | Phase::ContextCreate | Phase::VmStart | Phase::Configure => {
                PluginPhase::ContextCreate
            }
        }
    }
}
