//! Whether a request may be served on the TLS connection that it came on.

use portcullis_exchange::{Connection, TlsFacts};

use crate::tls_table::ListenerPolicy;
use crate::{CompiledListener, PolicyId, SocketTable};

/// How a connection's handshake fits what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFit {
    /// As it should be.
    Fits,
    /// The request is for a listener with another certificate, or one that asks other things of its clients,
    /// than the one that the handshake was for.
    Misdirected,
    /// The client shook hands under a policy that has been tightened since, or in no way at all.
    Outdated,
}

impl SocketTable {
    /// Holds a connection against the listener that a request on it is for. `generation` is that of the
    /// snapshot; `host` is the request's, in lower case, and asked for only where it matters.
    pub fn tls_fit<'h>(
        &self,
        generation: u64,
        connection: &Connection,
        listener: &CompiledListener,
        host: impl FnOnce() -> std::borrow::Cow<'h, str>,
    ) -> TlsFit {
        if listener.tls == ListenerPolicy::Plain {
            return TlsFit::Fits;
        }
        let Some(tls) = &connection.tls else { return TlsFit::Outdated };
        let Some(policy) = self.standing(generation, tls) else { return TlsFit::Outdated };
        match listener.tls {
            ListenerPolicy::Policy(asked) if asked.number() == policy => TlsFit::Fits,
            ListenerPolicy::Policy(asked) if self.tls.covers(policy, &host(), asked) => {
                TlsFit::Fits
            }
            _ => TlsFit::Misdirected,
        }
    }

    /// Whether a client could still shake hands as it did.
    pub fn upholds(&self, generation: u64, tls: &TlsFacts) -> bool {
        self.standing(generation, tls).is_some()
    }

    fn standing(&self, generation: u64, tls: &TlsFacts) -> Option<u64> {
        tls.standing.policy(generation, || {
            self.tls.judge(tls.server_name.as_deref(), tls.standing.verdict).map(PolicyId::number)
        })
    }
}
