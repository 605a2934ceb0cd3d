//! Where configuration comes from: [`FileSource`] reads and watches files and directories of manifests.
//!
//! What it is *not*: it does not understand manifests (that is `manifests`) and applies nothing. A source
//! that vanishes or turns to garbage changes nothing; its last good state is handed on.

mod contents;
mod files;
#[cfg(test)]
mod files_test;
mod inbox;
mod interest;
mod scan;
mod trail;
mod watch;

pub use files::{Cause, FileSource, ReloadHandle, Update};
