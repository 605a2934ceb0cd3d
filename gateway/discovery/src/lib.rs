//! Who the endpoints of clusters are where that is not written (DNS), and whether they are well (health checks).
//!
//! What it is *not*: nothing here runs on a worker, and no request is sent by it. What it finds out it tells the
//! [`Cluster`](portcullis_upstream::Cluster), which all workers share.
//!
//! [`Discovery`] is told of each configuration's clusters and does the rest on the control runtime.

mod answer;
mod ask;
mod discovery;
mod dynamic;
mod guard;
mod health;
mod keys;
mod lookup;
mod name_servers;
mod names;
mod pace;
mod resolved;
#[cfg(test)]
mod scripted;
mod search;
mod system_conf;

pub use discovery::{Discovery, DiscoverySettings};
pub use dynamic::HostRefused;
pub use health::{CheckReply, Serving};
pub use keys::{KeyNews, KeySettings, Keys};
