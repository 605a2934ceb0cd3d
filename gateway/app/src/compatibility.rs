//! `--compat`: whose behaviour to copy where ours is safer.

use clap::ValueEnum;
use portcullis_manifests::Joints;
use portcullis_message::{ForeignChain, HeadRules};
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

    /// What rewrites of VirtualServices make of the place where two slashes meet.
    pub(crate) fn joints(compat: Option<Self>) -> Joints {
        match compat {
            None => Joints::OneSlash,
            Some(Compatibility::Istio) => Joints::AsWritten,
        }
    }

    /// What becomes of the `X-Forwarded-For` of a peer that nobody trusts.
    pub(crate) fn foreign_chain(compat: Option<Self>) -> ForeignChain {
        match compat {
            None => ForeignChain::Replaced,
            Some(Compatibility::Istio) => ForeignChain::AppendedTo,
        }
    }

    /// What becomes of tokens that are for other audiences.
    pub(crate) fn foreign_audience(compat: Option<Self>) -> ForeignAudience {
        match compat {
            None => ForeignAudience::Unauthorized,
            Some(Compatibility::Istio) => ForeignAudience::Forbidden,
        }
    }

    /// Whether requests are repeated as `retries` say, be they safe to repeat or not.
    pub(crate) fn unsafe_repeats(compat: Option<Self>) -> UnsafeRepeats {
        match compat {
            None => UnsafeRepeats::Refused,
            Some(Compatibility::Istio) => UnsafeRepeats::AsWritten,
        }
    }
}
