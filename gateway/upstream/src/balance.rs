//! Which of a group of endpoints is next.

mod maglev;
mod ring;
#[cfg(test)]
mod tests;
mod turns;
mod weights;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model::{Balancer, Ring as RingSettings};

use crate::endpoint::{Endpoint, EndpointId};
use crate::pick::Pick;
use maglev::Maglev;
use ring::Ring;
use turns::Turns;
use weights::{Span, Weights};

/// A group of endpoints that share requests by weight.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoints: Vec<Arc<Endpoint>>,
    weights: Weights,
    order: Order,
    heed: Heed,
}

/// Whether an endpoint's condition counts, beyond what it was when the group was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heed {
    /// It has to take load.
    Health,
    /// Too few of the cluster do, so any will do.
    Nothing,
}

#[derive(Debug)]
enum Order {
    LeastRequest,
    RoundRobin(Turns),
    Random,
    Ring(Ring),
    Maglev(Maglev),
}

impl Pool {
    /// A group of endpoints with weights, none of which is 0.
    pub(crate) fn new(
        balancer: &Balancer,
        endpoints: Vec<Arc<Endpoint>>,
        weights: &[u64],
        heed: Heed,
    ) -> Self {
        let weighed = Weights::new(weights);
        let order = match balancer {
            // A gateway's client names no address of the mesh, so there is nothing to pass through.
            Balancer::LeastRequest | Balancer::Passthrough => Order::LeastRequest,
            Balancer::RoundRobin => Order::RoundRobin(Turns::new(&weighed)),
            Balancer::Random => Order::Random,
            Balancer::Hash { ring: RingSettings::Ring(at_least), .. } => {
                Order::Ring(Ring::new(&names(&endpoints), weights, *at_least))
            }
            Balancer::Hash { ring: RingSettings::Maglev(size), .. } => {
                Order::Maglev(Maglev::new(&names(&endpoints), weights, *size))
            }
        };
        Pool { endpoints, weights: weighed, order, heed }
    }

    /// The next endpoint; `None` where none of them may be.
    pub(crate) fn pick(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let may_be = |nth: usize| self.may_be(nth, pick);
        let nth = match &self.order {
            Order::LeastRequest => self.less_busy_of_two(pick, &mut draw),
            Order::RoundRobin(order) => self.next_in_turn(order, pick, turn),
            Order::Random => self.weights.draw(&mut draw).map(|span| span.nth),
            Order::Ring(ring) => ring.from(hash_of(pick, &mut draw)).find(|nth| may_be(*nth)),
            Order::Maglev(maglev) => maglev.from(hash_of(pick, &mut draw)).find(|nth| may_be(*nth)),
        };
        match nth.and_then(|nth| self.endpoints.get(nth)) {
            Some(endpoint) if self.may_be_endpoint(endpoint, pick) => Some(endpoint),
            _ => self.pick_among_few(pick, draw),
        }
    }

    /// One of them, in whatever condition.
    pub(crate) fn pick_any(
        &self,
        pick: &Pick<'_>,
        draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let may_be = |nth: usize| self.endpoints.get(nth).is_some_and(|each| pick.may_be(each));
        self.endpoints.get(self.weights.draw_among(may_be, draw)?.nth)
    }

    /// Whether any of them may be picked.
    pub(crate) fn has_anyone(&self) -> bool {
        self.endpoints.iter().any(|each| self.may_be_endpoint(each, &Pick::default()))
    }

    pub(crate) fn has(&self, endpoint: EndpointId) -> bool {
        self.endpoints.iter().any(|each| each.id == endpoint)
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = EndpointId> {
        self.endpoints.iter().map(|endpoint| endpoint.id)
    }

    /// The less busy of two drawn by weight. Where both are equally busy it is the first, so that an idle
    /// cluster is shared exactly by weight.
    fn less_busy_of_two(&self, pick: &Pick<'_>, mut draw: impl FnMut(u64) -> u64) -> Option<usize> {
        let first = self.weights.draw(&mut draw)?;
        let Some(second) = self.weights.draw_other(first, &mut draw) else {
            return Some(first.nth);
        };
        Some(self.less_busy(first, second, pick).nth)
    }

    /// The one with fewer active requests for its weight, where it may be picked.
    fn less_busy(&self, first: Span, second: Span, pick: &Pick<'_>) -> Span {
        let load = |span: Span| match self.endpoints.get(span.nth) {
            Some(endpoint) if self.may_be_endpoint(endpoint, pick) => endpoint.active() as u128,
            _ => u128::from(u64::MAX),
        };
        let first_load = load(first) * u128::from(second.weight);
        let second_load = load(second) * u128::from(first.weight);
        if second_load < first_load { second } else { first }
    }

    /// The next in turn that may be picked, among a few.
    fn next_in_turn(&self, order: &Turns, pick: &Pick<'_>, turn: &AtomicU64) -> Option<usize> {
        const LOOKS: usize = 8;
        let turns = std::iter::repeat_with(|| turn.fetch_add(1, Ordering::Relaxed));
        let mut nths = turns.take(LOOKS).filter_map(|turn| order.at(turn, &self.weights));
        nths.find(|nth| self.may_be(*nth, pick))
    }

    /// Where what was chosen may not be: two of those that may, drawn by looking at all.
    #[cold]
    fn pick_among_few(
        &self,
        pick: &Pick<'_>,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let may_be = |nth: usize| self.may_be(nth, pick);
        let first = self.weights.draw_among(may_be, &mut draw)?;
        let other = |nth: usize| nth != first.nth && may_be(nth);
        let picked = match (&self.order, self.weights.draw_among(other, &mut draw)) {
            (Order::LeastRequest, Some(second)) => self.less_busy(first, second, pick),
            _ => first,
        };
        self.endpoints.get(picked.nth)
    }

    fn may_be(&self, nth: usize, pick: &Pick<'_>) -> bool {
        self.endpoints.get(nth).is_some_and(|endpoint| self.may_be_endpoint(endpoint, pick))
    }

    fn may_be_endpoint(&self, endpoint: &Endpoint, pick: &Pick<'_>) -> bool {
        (self.heed == Heed::Nothing || endpoint.condition.takes_load()) && pick.may_be(endpoint)
    }
}

/// A request without the key is sent anywhere.
fn hash_of(pick: &Pick<'_>, draw: &mut impl FnMut(u64) -> u64) -> u64 {
    pick.hash.unwrap_or_else(|| draw(u64::MAX))
}

/// By what endpoints are hashed: as Envoy does, by address.
fn names(endpoints: &[Arc<Endpoint>]) -> Vec<String> {
    endpoints.iter().map(|endpoint| endpoint.key().to_string()).collect()
}
