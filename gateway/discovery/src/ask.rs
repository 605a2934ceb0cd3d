//! One question to DNS and what may come of it.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// Asks DNS one question about a full name, which ends with a dot.
pub(crate) trait Ask: Send + Sync + 'static {
    /// Asks for the addresses of one family. Never empty where it succeeds.
    fn ask<'a>(&'a self, name: &'a str, family: Family) -> Asking<'a>;
}

/// A question on its way.
pub(crate) type Asking<'a> =
    Pin<Box<dyn Future<Output = Result<Records, LookupFailure>> + Send + 'a>>;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// Whether an address is of it.
    pub(crate) fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }
}

/// The addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    /// In the order of the reply.
    pub addresses: Vec<IpAddr>,
    /// How long they hold, as the reply says; the shortest of the chain.
    pub ttl: Duration,
}

/// Why a name gave no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupFailure {
    /// NXDOMAIN.
    #[error("no such name (NXDOMAIN)")]
    NoSuchName,
    /// The name is there and has no address.
    #[error("the name has no address")]
    Empty,
    /// The server said that it failed, or refused.
    #[error("the DNS server answered {0}")]
    ServerFailure(String),
    /// Nobody answered in time, or not the question that was asked.
    #[error("no answer in time")]
    Timeout,
    /// The reply is about something else, or about addresses where nobody can listen.
    #[error("the answer is of no use: {0}")]
    Useless(&'static str),
    /// No server could be asked.
    #[error("no DNS server can be asked: {0}")]
    Unasked(String),
    /// The name is none.
    #[error("not a name that DNS can be asked about: {0}")]
    NotAName(String),
}

impl LookupFailure {
    /// Whether the server said so, and another name may be tried; anything else says nothing about the name.
    pub(crate) fn is_negative(&self) -> bool {
        matches!(self, LookupFailure::NoSuchName | LookupFailure::Empty)
    }

    /// The value of the label `result`.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            LookupFailure::NoSuchName => "no_such_name",
            LookupFailure::Empty => "empty",
            LookupFailure::ServerFailure(_) => "server_failure",
            LookupFailure::Timeout => "timeout",
            LookupFailure::Useless(_) => "useless",
            LookupFailure::Unasked(_) | LookupFailure::NotAName(_) => "unasked",
        }
    }
}
