//! What was changed of a request's head since its route was chosen.

/// How much of a head is another than when the route was chosen; the greater holds what is in the lesser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadChange {
    /// Nothing.
    #[default]
    Nothing,
    /// Header fields, the query, or who the client is known to be.
    Fields,
    /// Method, scheme, authority or path, or the route is to be chosen anew whatever it was.
    Line,
}
