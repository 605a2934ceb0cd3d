//! Why there is no module.

use crate::challenge::Challenge;

/// Why a module cannot be had. Each message names the offender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SupplyError {
    /// Nobody answered, or not in time, or not to the end.
    #[error("{0}")]
    Unreachable(String),
    /// The server said no.
    #[error("{asked} answers {status}{hint}")]
    Status {
        /// What was asked for.
        asked: String,
        /// The status.
        status: u16,
        /// What that means most often.
        hint: &'static str,
    },
    /// The server wants to know who asks, in one of these ways.
    #[error("{asked} answers 401: name and password are missing (`imagePullSecret`) or wrong")]
    Unauthorized {
        /// What was asked for.
        asked: String,
        /// In which ways.
        challenges: Vec<Challenge>,
    },
    /// The server does not take what it is sent.
    #[error("{asked} answers {status}: {said}")]
    Rejected {
        /// What was sent where.
        asked: String,
        /// The status.
        status: u16,
        /// Its reason, in its own words where it gives one.
        said: String,
    },
    /// What came is larger than it may be.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// In bytes.
        limit: usize,
    },
    /// What came is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// What came is not what its digest says.
    #[error("{what} has the SHA-256 {found}, not {wanted}")]
    Digest {
        /// What.
        what: String,
        /// In hex.
        wanted: String,
        /// In hex.
        found: String,
    },
    /// It leads where nothing is fetched from.
    #[error("{0}")]
    Forbidden(String),
    /// It is not signed as it has to be.
    #[error("{0}")]
    Signature(String),
    /// It is not at hand, and may not be fetched.
    #[error("the module is not at hand, and nothing is fetched here")]
    NotCached,
}

impl SupplyError {
    /// What one asked for is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, SupplyError::Status { status: 404, .. })
    }

    /// The value of the label `result`, for metrics.
    pub fn result(&self) -> &'static str {
        match self {
            SupplyError::Unreachable(_) => "unreachable",
            SupplyError::Status { .. }
            | SupplyError::Rejected { .. }
            | SupplyError::Unauthorized { .. } => "refused",
            SupplyError::TooLarge { .. } => "too_large",
            SupplyError::Malformed(_) => "malformed",
            SupplyError::Digest { .. } => "digest",
            SupplyError::Forbidden(_) => "forbidden",
            SupplyError::Signature(_) => "signature",
            SupplyError::NotCached => "not_cached",
        }
    }
}
