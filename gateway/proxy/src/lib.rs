//! The life of one request, from head to log. [`handle_request`] reads as its table of contents.
//!
//! What it is *not*: it accepts no connections and compiles no configuration. It runs on one worker
//! thread, on one pinned snapshot, and always answers.
//!
//! What stands where:
//! - the way in: `handle`, `admit` with `head_size` and `request_id`, `health`, `memory`, `choose`, `handshake`, `decision`;
//! - what plugins do outside of requests: `plugin_work`, `plugin_call` with `http_call`, `grpc_call` and `race`;
//! - the chain: `steps` for heads, with `native_step` for native filters;
//! - plugins: `flow` and `flow_step` for bodies and trailers, `request_filter` with `client_body` and `request_pump` on
//!   the way up, `response_filter` on the way back, `running`, `stop`, `in_time`;
//! - the native filters of a rule, with what they say in replies: `native_filters`, `refusal`;
//! - the way up: `outbound`, `forward` with `attempt`, `retry`, `pause` and `kept`, `route_timeout`, `interim`; beside it `mirror`;
//! - the way back: `respond` with `reply_head`, `error`, `grpc`, `framing` and `debug_headers`, then `response_body`;
//! - what a request holds until its record is closed: `flight`; what never became one: `refused`;
//! - deadlines: `progress`, `pace`, `terms`, `overdue`, and `under_way` on its `roster`, for the worker's sweep;
//! - what leaves HTTP: `upgrade`, `tunnel`, `tcp` with `tcp_record`, `both_ways`, `one_way`, `outdated`;
//! - the thread and the process: `worker`, `drain`, `overload`.

mod admit;
mod affinity;
mod attempt;
mod both_ways;
mod call_tally;
mod canonicalise;
mod choose;
mod client_body;
mod debug_headers;
mod decision;
mod drain;
mod dynamic_host;
mod error;
#[cfg(test)]
mod fault_tests;
mod flight;
mod flow;
mod flow_step;
mod forward;
mod framing;
mod grpc;
mod grpc_call;
mod handle;
mod handshake;
mod head_size;
mod health;
mod http_call;
mod in_time;
mod interim;
mod kept;
mod laps;
mod memory;
mod mirror;
mod mirror_places;
mod native_filters;
mod native_step;
mod one_way;
mod outbound;
mod outdated;
mod overdue;
mod overload;
mod pace;
mod pause;
mod plugin_call;
mod plugin_work;
mod progress;
mod race;
mod refusal;
mod refused;
mod reply_head;
mod request_filter;
mod request_id;
mod request_pump;
mod reroute;
mod respond;
mod response_body;
mod response_filter;
mod retry;
mod roster;
mod route_timeout;
mod running;
mod sifted_ways;
mod steps;
mod stop;
mod tcp;
mod tcp_filters;
mod tcp_record;
mod tcp_step;
mod terms;
#[cfg(test)]
mod test_worker;
mod tunnel;
mod under_way;
mod upgrade;
mod worker;

pub use drain::{CutReason, Drain, DrainPhase};
pub use handle::handle_request;
pub use overload::{Overload, OverloadLevel};
pub use plugin_work::work_for_plugins;
pub use portcullis_filters::ForeignAudience;
pub use progress::Progress;
pub use refused::{record_broken_protocol, record_refused_head};
pub use response_body::ResponseBody;
pub use retry::UnsafeRepeats;
pub use roster::{Roster, look_at_all};
pub use tcp::{TcpClient, forward_connection, record_no_hello};
pub use tunnel::{Tunnel, TunnelEnd};
pub use under_way::{RequestPlace, UnderWay};
pub use worker::{AlbMtls, DebugHeaders, Worker, WorkerSettings};

pub(crate) use error::{ProxyError, reply_for};
pub(crate) use overdue::Overdue;
