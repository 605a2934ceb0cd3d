//! A Gateway or ListenerSet as routes see it, with the state of its listeners.

use std::sync::Arc;

use portcullis_model::ObjectId;

use super::claims::Claims;
use crate::kinds::{ApiListener, CredentialName};

/// A Gateway or ListenerSet.
pub(in crate::convert) struct Parent {
    pub(in crate::convert) id: ObjectId,
    pub(in crate::convert) generation: Option<i64>,
    /// The Gateway that it belongs to; itself for a Gateway.
    pub(in crate::convert) gateway: ObjectId,
    /// Why it is not served; `None` where it is.
    pub(in crate::convert) refused: Option<Refusal>,
    pub(in crate::convert) listeners: Vec<ParentListener>,
    /// The ListenerSets that are attached to it.
    pub(in crate::convert) attached_sets: usize,
    /// Of a Gateway: why something that it names as a whole cannot be used.
    pub(in crate::convert) reference: Option<Refusal>,
    /// Of a Gateway: the certificate that it shows to backends, or why it must not be used.
    pub(in crate::convert) certificate: Option<Result<CredentialName, Refusal>>,
}

/// A reason for a condition's being false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::convert) struct Refusal {
    /// In the API's words.
    pub(in crate::convert) reason: &'static str,
    pub(in crate::convert) message: String,
}

/// A listener and what became of it.
pub(in crate::convert) struct ParentListener {
    pub(in crate::convert) written: ApiListener,
    /// The name of the server that it became.
    pub(in crate::convert) server: Arc<str>,
    pub(in crate::convert) conflict: Option<Conflict>,
    /// Why something that it names cannot be used.
    pub(in crate::convert) reference: Option<Refusal>,
    /// The index of its Gateway among those that listen, where it does.
    pub(in crate::convert) place: Option<usize>,
    /// How many routes are attached to it.
    pub(in crate::convert) attached: usize,
    /// The hosts that routes have.
    pub(in crate::convert) claims: Claims,
}

/// Why a listener cannot be served beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::convert) enum Conflict {
    /// Another one on its port speaks another protocol.
    Protocol,
    /// Another one of its port and protocol has its host.
    Hostname,
}

impl Conflict {
    /// In the API's words.
    pub(in crate::convert) fn reason(self) -> &'static str {
        match self {
            Conflict::Protocol => "ProtocolConflict",
            Conflict::Hostname => "HostnameConflict",
        }
    }
}
