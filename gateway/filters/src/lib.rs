//! Native pure filters, one file each: settings, behaviour, tests.
//!
//! What it is *not*: nothing here does I/O, awaits, or knows how a filter was configured.

mod cors;
mod direct_response;
mod error_body;
mod fault;
mod header_operations;
mod path_rewrite;
mod pattern;
mod rate_limit;
mod redirect;
mod substitution;

pub use cors::{CorsPolicy, OriginMatch, UnmatchedPreflights};
pub use direct_response::DirectResponse;
pub use error_body::ErrorBody;
pub use fault::{AbortStatus, Fault, FaultAbort, FaultDelay};
pub use header_operations::HeaderOperations;
pub use path_rewrite::{MatchedPath, PathRewrite};
pub use pattern::{Pattern, PatternError};
pub use rate_limit::RateLimit;
pub use redirect::{Redirect, RedirectPath, RedirectPort, Requested};
pub use substitution::Substitution;
