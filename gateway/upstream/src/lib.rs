//! Clusters and the way to them: endpoints, balancing, one pool of connections per worker, HTTP/1 to
//! the upstream.
//!
//! What it is *not*: it chooses no cluster, retries nothing and writes no reply; it says what failed and
//! hands a request back where it was provably never sent.
//!
//! A [`Cluster`] is shared by the whole process; [`Pools`] belong to one worker. The way of a request:
//! [`Cluster::pick_endpoint`], [`Pools::checkout`], [`Lease::send`], then the [`UpstreamBody`], which
//! brings the connection back.

mod balance;
mod cluster;
mod connect;
mod endpoint;
mod endpoint_set;
#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod expect_tests;
mod failure;
mod feed;
mod http1;
mod lease;
mod pools;
mod random;
mod raw_connection;
mod recording;
mod repeats;
#[cfg(test)]
mod reply_tests;
mod request_body;
mod response_body;
#[cfg(test)]
mod reuse_tests;
mod shelf;
mod socket;
#[cfg(test)]
mod test_upstream;
mod tls_stream;
mod tunnel;
#[cfg(test)]
mod tunnel_tests;
#[cfg(test)]
mod upload_tests;

pub use cluster::{Cluster, SetEndpoints};
pub use endpoint::{Endpoint, EndpointId};
pub use endpoint_set::{EndpointSet, Member, ResolvedEndpoint, ResolvedPlace};
pub use failure::{ConnectError, Heard, SendError, UpstreamFailure};
pub use feed::FeedWatch;
pub use lease::Lease;
pub use pools::Pools;
pub use random::{draw, draw_below};
pub use raw_connection::RawConnection;
pub use recording::Recording;
pub use repeats::{Cost, RepeatUnderWay, Repeats};
pub use request_body::{RequestBody, RequestProgress};
pub use response_body::UpstreamBody;
pub use tunnel::UpstreamTunnel;
