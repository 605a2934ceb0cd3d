//! Passive health: what becomes of requests takes endpoints out of rotation, and time brings them back.

use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::condition::{Ended, Offence};
use crate::endpoint::Endpoint;
use crate::outcome::{Outcome, most_ejected, term_of};

impl Cluster {
    /// Records what became of a request at one of its endpoints, from any worker. Where that is too much (see
    /// [`Offence`]), the endpoint takes no further requests for a while.
    pub fn record(&self, endpoint: &Endpoint, outcome: Outcome) {
        let rules = self.settings().outliers.as_ref();
        let Some(offence) = endpoint.outcomes.count(outcome, rules) else { return };
        if endpoint.condition.is_ejected() || endpoint.condition.is_removed() {
            return;
        }
        let now = Instant::now();
        let ejected = self.eject(endpoint, offence, now);
        if !ejected && outcome == Outcome::NoConnection && offence != Offence::NoConnection {
            self.eject(endpoint, Offence::NoConnection, now);
        }
    }

    /// Takes an endpoint out, if so many may be; one at a time.
    #[cold]
    fn eject(&self, endpoint: &Endpoint, offence: Offence, now: Instant) -> bool {
        let rules = self.settings().outliers.as_ref();
        let set = self.set();
        let takes_load = set.members().iter().filter(|member| member.serves()).count();
        let most = most_ejected(offence, rules, takes_load);
        let standing = &self.line().standing;
        if !standing.take_place(most) {
            return false;
        }
        if !endpoint.condition.eject(offence, &term_of(offence, rules), now) {
            standing.give_place_back();
            return false;
        }
        if endpoint.condition.is_removed() && endpoint.condition.end_ejection() == Ended::Now {
            // It left in this very moment, and nobody would let it back in.
            standing.give_place_back();
            return false;
        }
        standing.count_ejection(offence);
        if offence != Offence::NoConnection {
            endpoint.outcomes.forget();
        }
        tracing::info!(
            cluster = &*self.label,
            endpoint = %endpoint.address(),
            reason = offence.word(),
            "endpoint ejected"
        );
        self.ask_for_upkeep();
        true
    }

    /// Lets endpoints back in whose time is over, and says when the next one's is.
    pub(crate) fn readmit(&self, now: Instant) -> Option<Instant> {
        let set = self.set();
        let ejected = set.members().iter().map(|member| &member.endpoint);
        let ejected = ejected.filter(|endpoint| endpoint.condition.is_ejected());
        ejected.filter_map(|endpoint| self.readmit_one(endpoint, now)).min()
    }

    fn readmit_one(&self, endpoint: &Arc<Endpoint>, now: Instant) -> Option<Instant> {
        if endpoint.condition.readmit(now) == Ended::Now {
            self.line().standing.give_place_back();
            tracing::info!(
                cluster = &*self.label,
                endpoint = %endpoint.address(),
                "endpoint is back in rotation"
            );
        }
        endpoint.condition.ejected_until()
    }

    /// An active health check found an endpoint well. For the control runtime.
    pub fn set_healthy(&self, endpoint: &Endpoint) {
        if endpoint.condition.set_healthy() {
            endpoint.serves_anew(Instant::now());
            tracing::info!(cluster = &*self.label, endpoint = %endpoint.address(), "endpoint is healthy");
            self.ask_for_upkeep();
        }
    }

    /// An active health check found an endpoint unwell, for this reason. For the control runtime.
    pub fn set_unhealthy(&self, endpoint: &Endpoint, reason: impl Into<String>) {
        let reason = reason.into();
        let news = endpoint.condition.set_unhealthy(reason.clone());
        if news {
            tracing::warn!(
                cluster = &*self.label,
                endpoint = %endpoint.address(),
                reason,
                "endpoint is unhealthy"
            );
            self.ask_for_upkeep();
        }
    }
}
