//! Whose tokens a request brings, as far as that can be told: keys that are fetched are there on a running gateway alone.

use std::sync::Arc;

use portcullis_exchange::{Authenticated, Connection, Exchange, RequestHead};
use portcullis_filters::{TokenCache, TokenRefusal};

use crate::explanation::Explanation;
use crate::{ChainStep, CompiledListener};

/// What is known of who asks.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Nobody asks, or there is no token.
    Nobody,
    /// Its tokens are good.
    Known(Arc<Authenticated>),
    /// There is a token, and there are no keys here.
    Untold,
    /// A token is bad.
    Refused(TokenRefusal),
}

impl Identity {
    /// Looks at the tokens of a request to a listener.
    pub(crate) fn of(listener: Option<&CompiledListener>, head: RequestHead) -> Self {
        let mut steps = listener.into_iter().flat_map(|listener| listener.chain.iter());
        let filter = steps.find_map(|step| match step {
            ChainStep::Authentication(filter) => Some(filter),
            _ => None,
        });
        let Some(filter) = filter else { return Identity::Nobody };
        let mut exchange = Exchange::new(Arc::new(Connection::nowhere()), head);
        match filter.authenticate(&mut exchange, &mut TokenCache::default()) {
            Ok(()) => exchange.authenticated.map_or(Identity::Nobody, Identity::Known),
            Err(TokenRefusal::NoKeys) => Identity::Untold,
            Err(refusal) => Identity::Refused(refusal),
        }
    }

    /// Who it is.
    pub(crate) fn authenticated(&self) -> Option<&Arc<Authenticated>> {
        match self {
            Identity::Known(who) => Some(who),
            _ => None,
        }
    }

    /// Whether conditions on who asks can be decided.
    pub(crate) fn is_told(&self) -> bool {
        !matches!(self, Identity::Untold)
    }

    /// Tells of it; whether the request ends here.
    pub(crate) fn tell(&self, explanation: &mut Explanation) -> bool {
        let Identity::Refused(refusal) = self else { return false };
        explanation.outcome = "refused";
        explanation.status = Some(401);
        explanation.refusal = Some(refusal.details());
        true
    }
}
