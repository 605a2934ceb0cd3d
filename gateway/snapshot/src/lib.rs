//! From [`Model`](portcullis_model::Model) to [`Snapshot`]: compiling, carrying over what did not change,
//! publishing, retiring, and explaining what a snapshot would do with a request.
//!
//! What it is *not*: it reads no files and serves no requests. A snapshot is immutable; a request pins one
//! and sees nothing else.

mod authentications;
mod buckets;
#[cfg(test)]
mod carry_over_tests;
mod chain;
mod compile;
mod compiled_rule;
mod explain;
mod explain_authentication;
mod explain_filters;
mod explain_plugins;
mod explain_policies;
mod explain_request;
mod explain_upstream;
mod explanation;
mod explanation_text;
mod header_order;
mod known_rules;
mod listener_chains;
mod parts;
mod plugin_failure;
mod plugin_job;
mod plugin_state;
mod plugins;
mod published;
mod shared_rules;
mod snapshot;
mod socket_head_rules;
mod table;
mod tcp_table;
mod tls_fit;
mod tls_policy;
mod tls_table;
mod upstream_head;

pub use authentications::Authentications;
pub use chain::{Attached, Chain, ChainStep, PluginStep};
pub use compile::{Compiled, Compiler};
pub use compiled_rule::{CompiledDestination, CompiledMirror, CompiledRule};
pub use explain::explain;
pub use explain_plugins::ExplainedPlugin;
pub use explain_request::RequestToExplain;
pub use explanation::{
    ConsideredRule, ExplainedCluster, ExplainedEndpoint, ExplainedPolicy, Explanation,
    HeaderChange, MOST_CONSIDERED, Source, UpstreamRequest,
};
pub use explanation_text::describe;
pub use plugin_job::News;
pub use plugin_state::PluginState;
pub use plugins::{Builtins, PluginHost};
pub use published::{GenerationRecord, Pinned, Published, View};
pub use snapshot::{Snapshot, SocketKey};
pub use table::{CompiledListener, SocketTable};
pub use tcp_table::{CompiledTcpDestination, CompiledTcpRule, ConnectionRoute, Handling, TcpTable};
pub use tls_fit::TlsFit;
pub use tls_policy::{ALPN_H2, PolicyId, TlsPolicy};
pub use tls_table::{ListenerPolicy, TlsTable};
