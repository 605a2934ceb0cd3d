//! Clusters and the way to them: endpoints, balancing, one pool of connections per worker, HTTP/1
//! and HTTP/2 to the upstream.
//!
//! What it is *not*: it chooses no cluster, retries nothing and writes no reply; it says what failed and
//! hands a request back where it was provably never sent.
//!
//! A [`Cluster`] is shared by the whole process; [`Pools`] belong to one worker. The way of a request:
//! [`Cluster::pick_endpoint`], [`Pools::checkout`], [`Lease::send`], then the [`UpstreamBody`], which
//! brings the connection back.

mod balance;
mod breakers;
mod caller;
#[cfg(test)]
mod cancel_tests;
mod client_tls;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod condition;
mod connect;
mod dial;
mod ejection;
mod endpoint;
mod endpoint_set;
#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod expect_tests;
mod eyeballs;
mod failure;
mod feed;
mod http1;
mod http2;
#[cfg(test)]
mod http2_attack_tests;
#[cfg(test)]
mod http2_tests;
mod lease;
mod limits;
#[cfg(test)]
mod limits_tests;
mod load;
mod locality;
mod member;
mod moment;
mod opening;
mod outcome;
mod pick;
mod piece;
mod pooled;
mod pools;
#[cfg(test)]
mod pools_tests;
mod proxy_header;
mod random;
mod raw_connection;
mod recording;
mod repeats;
#[cfg(test)]
mod reply_tests;
mod report;
mod request_body;
mod response_body;
#[cfg(test)]
mod reuse_tests;
mod rotation;
#[cfg(test)]
mod rotation_tests;
mod sharing;
#[cfg(test)]
mod sharing_tests;
mod shelf;
mod socket;
mod spoken;
mod standing;
mod stream_wait;
mod tally;
mod terms;
#[cfg(test)]
mod test_http2;
#[cfg(test)]
mod test_upstream;
mod tls_sessions;
mod tls_stream;
#[cfg(test)]
mod tls_tests;
mod transport;
mod tunnel;
#[cfg(test)]
mod tunnel_tests;
mod uncounted;
mod upkeep;
#[cfg(test)]
mod upload_tests;
mod waiting;
mod warmup;

pub use breakers::{Breaker, Entered, Overflow};
pub use caller::Caller;
pub use cluster::{Cluster, ClusterHome, SetEndpoints};
pub use condition::{EndpointState, Offence};
pub use endpoint::{Endpoint, EndpointId};
pub use endpoint_set::EndpointSet;
pub use failure::{ConnectError, Heard, SendError, UpstreamFailure};
pub use feed::FeedWatch;
pub use lease::Lease;
pub use locality::Surroundings;
pub use member::{Member, ResolvedEndpoint, ResolvedPlace};
pub use outcome::Outcome;
pub use pick::{Pick, hash_of};
pub use pools::Pools;
pub use random::{draw, draw_below};
pub use raw_connection::{ProbeSpeaks, RawConnection};
pub use recording::Recording;
pub use repeats::{Cost, RepeatUnderWay, Repeats};
pub use report::{EndpointReport, LimitReport, Role};
pub use request_body::{RequestBody, RequestProgress};
pub use response_body::UpstreamBody;
pub use spoken::Spoken;
pub use tunnel::UpstreamTunnel;
pub use upkeep::{AskForUpkeep, Upkeep};
