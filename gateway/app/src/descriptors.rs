//! How many descriptors the process may have, and how many connections fit in.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections at once, whatever the descriptors (`docs/operations.md`, "Overload").
const MOST_CONNECTIONS: usize = 50_000;

/// Raises the soft limit on descriptors to the hard one, and tells how many connections there may be: below half
/// of the descriptors, since a request has one on either side.
pub(crate) fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on descriptors cannot be raised");
    }
    fitting(getrlimit(Resource::Nofile).current)
}

/// Logs what came of it.
pub(crate) fn report() {
    let limit = getrlimit(Resource::Nofile).current;
    let descriptors = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    tracing::info!(%descriptors, connections = fitting(limit), "descriptors");
}

/// `None` is no limit.
fn fitting(descriptors: Option<u64>) -> usize {
    let half =
        descriptors.map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
    half.min(MOST_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_half_of_the_descriptors() {
        assert_eq!(fitting(Some(1024)), 512);
        assert_eq!(fitting(Some(1 << 20)), 50_000);
        assert_eq!(fitting(None), 50_000);
    }
}
