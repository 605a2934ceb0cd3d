//! Native pure filters, one file each: settings, behaviour, tests.
//!
//! What it is *not*: nothing here does I/O, awaits, or knows how a filter was configured.

mod direct_response;
mod header_operations;
mod path_rewrite;
mod redirect;

pub use direct_response::DirectResponse;
pub use header_operations::HeaderOperations;
pub use path_rewrite::{MatchedPath, PathRewrite};
pub use redirect::{Redirect, RedirectPath};
