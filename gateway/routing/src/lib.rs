//! Which rule takes a request: the routes of a model, compiled to a [`RouteTable`], and why the other
//! rules lost.
//!
//! What it is *not*: it does no I/O, awaits nothing, and does not carry out what a rule says. A lookup
//! allocates nothing and costs the same however many hosts there are.

mod build;
mod connections;
mod consider;
mod host_index;
mod matching;
#[cfg(test)]
mod oracle;
mod query;
mod table;

pub use connections::{ConnectionRoute, ConnectionTable, Handling};
pub use consider::{Consideration, ConsideredRule, Outcome};
pub use query::RouteQuery;
pub use table::{Aspects, Route, RouteTable};
