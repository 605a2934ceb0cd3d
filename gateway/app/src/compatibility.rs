//! `--compat`: whose behaviour to copy where ours is safer.

use clap::ValueEnum;
use portcullis_message::HeadRules;
use portcullis_proxy::{ForeignAudience, UnsafeRepeats};

/// Whose behaviour to copy where ours is safer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compatibility {
    /// Istio's ingress gateway.
    Istio,
}

impl Compatibility {
    /// How request heads are read where no EdgePolicy says otherwise.
    pub(crate) fn head_rules(compat: Option<Self>) -> HeadRules {
        match compat {
            None => HeadRules::SAFEST,
            Some(Compatibility::Istio) => HeadRules::ISTIO,
        }
    }

    /// What becomes of tokens that are for other audiences.
    pub(crate) fn foreign_audience(compat: Option<Self>) -> ForeignAudience {
        match compat {
            None => ForeignAudience::Unauthorized,
            Some(Compatibility::Istio) => ForeignAudience::Forbidden,
        }
    }

    /// Whether what may be executed twice is repeated where `retries` say so.
    pub(crate) fn unsafe_repeats(compat: Option<Self>) -> UnsafeRepeats {
        match compat {
            None => UnsafeRepeats::Refused,
            Some(Compatibility::Istio) => UnsafeRepeats::AsWritten,
        }
    }
}
