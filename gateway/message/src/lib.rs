//! HTTP messages as every room above sees them: a streaming [`Body`], request heads validated and in
//! [one form](canonical_head), hop-by-hop and forwarded headers, and ready-made replies.
//!
//! What it is *not*: it opens no sockets, knows no routes and no configuration.

mod alb_client_cert;
mod authority;
mod body;
mod body_error;
mod canonical_path;
mod channel;
mod client_hello;
mod cookies;
mod crc32c;
mod field_rules;
mod forwarded;
mod head_rules;
#[cfg(test)]
mod head_rules_tests;
mod health;
mod hop_by_hop;
mod host;
pub mod http1;
mod http2_frames;
mod proxy_header;
mod reply;
mod request_head;
mod upgrade;

pub use alb_client_cert::client_cert_of_alb;
pub use authority::{AuthorityError, check_authority};
pub use body::Body;
pub use body_error::BodyError;
pub use canonical_path::{
    Canonical, PathError, canonical_path, canonical_path_for, canonical_target,
};
pub use channel::{BodyReceiver, BodySender, Demand, body_channel};
pub use client_hello::{ClientHello, FirstBytes, MOST_HELLO, read_client_hello};
pub use cookies::join_cookies;
pub use field_rules::FieldError;
pub use forwarded::{ForeignChain, Trust, TrustedProxies, forwarded_scheme, set_forwarded};
pub use head_rules::{Backslashes, EscapedSlashes, HeadRules, Slashes, Underscores};
pub use health::{Health, HealthPath};
pub use hop_by_hop::remove_hop_by_hop;
pub use host::{HostPattern, HostPatternError, normalise_host};
pub use http2_frames::{Flood, FrameGuard, FrameLimits, RefusedStream, ReplyGuard};
pub use proxy_header::{ProxyHeader, ProxyHeaderError, read_proxy_header};
pub use reply::Reply;
pub use request_head::{CanonicalHead, HeadError, canonical_head};
pub use upgrade::{ConnectProtocol, Upgrade, WEBSOCKET, asks_for_websocket, switches_to_websocket};
