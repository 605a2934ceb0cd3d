//! Which rule takes a request: the routes of a model, compiled to a [`RouteTable`], and why the other
//! rules lost.
//!
//! What it is *not*: it does no I/O, awaits nothing, and does not carry out what a rule says. A lookup
//! allocates nothing and costs the same however many hosts there are, and hardly more with the number of their rules.

mod aspects;
mod build;
mod connections;
mod consider;
#[cfg(test)]
mod generated;
mod host_index;
mod host_routes;
mod literal_start;
mod matching;
mod mismatch;
#[cfg(test)]
mod oracle;
mod order;
mod path_trie;
mod pattern_crowd;
mod query;
mod renew;
mod shards;
mod slots;
mod table;
#[cfg(test)]
mod table_tests;
mod trie_build;
mod twins;
mod workforce;

pub use aspects::Aspects;
pub use connections::{ConnectionAddresses, ConnectionRoute, ConnectionTable, Handling};
pub use consider::{Consideration, ConsideredRule, Outcome};
pub use query::RouteQuery;
pub use slots::Slots;
pub use table::{Route, RouteTable};
pub use workforce::map_at_once;
