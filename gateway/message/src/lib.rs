//! HTTP messages as every room above sees them: a streaming [`Body`], host names in one form,
//! hop-by-hop and forwarded headers, and ready-made replies.
//!
//! What it is *not*: it opens no sockets, knows no routes and no configuration.

mod body;
mod body_error;
mod channel;
mod forwarded;
mod hop_by_hop;
mod host;
pub mod http1;
mod reply;

pub use body::Body;
pub use body_error::BodyError;
pub use channel::{BodyReceiver, BodySender, Demand, body_channel};
pub use forwarded::{Trust, TrustedProxies, set_forwarded};
pub use hop_by_hop::remove_hop_by_hop;
pub use host::{HostPattern, HostPatternError, normalise_host};
pub use reply::Reply;
