//! A VirtualService that is converted.

use portcullis_model::Problem;

use super::binding::OnServer;
use super::routes::Route;

/// A VirtualService with its rules, and where they are bound.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) route: Route,
    /// The servers that it has hosts in common with.
    pub(crate) servers: Box<[OnServer]>,
    /// What is wrong with it.
    pub(crate) said: Box<[Problem]>,
}
