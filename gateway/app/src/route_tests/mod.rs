//! Route tests: what is expected held against what `explain` tells, and which rules the cases reach.

mod coverage;
mod judge;
mod write;

pub(crate) use coverage::Coverage;
pub(crate) use judge::{Failure, Verdict, judge};
pub(crate) use write::{write_json, write_text};
