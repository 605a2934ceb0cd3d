//! The life of one request, from head to log. [`handle_request`] reads as its table of contents.
//!
//! What it is *not*: it accepts no connections and compiles no configuration. It runs on one worker
//! thread, on one pinned snapshot, and always answers.

mod admit;
mod choose;
mod debug_headers;
mod drain;
mod error;
mod flight;
mod forward;
mod framing;
mod handle;
mod outbound;
mod refused;
mod request_id;
mod respond;
mod response_body;
mod route_timeout;
mod running;
mod steps;
mod worker;

pub use drain::{Drain, DrainPhase};
pub use error::{ProxyError, reply_for};
pub use handle::handle_request;
pub use refused::record_refused_head;
pub use response_body::ResponseBody;
pub use worker::{DebugHeaders, Worker, WorkerSettings};
