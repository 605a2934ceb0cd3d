//! VirtualServices to rules that are bound to servers, each by itself; what came of one is taken over from the
//! conversion before where neither it nor its surroundings changed.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::Problem;

use super::binding::Binder;
use super::bound::Bound;
use super::findings::Findings;
use super::routes::RouteBuilder;
use super::surroundings::Surroundings;
use super::tcp_routes::tcp_rules;
use crate::kinds::{RouteAction, VirtualService};

/// What VirtualServices came to, for the next conversion.
/// `G` is what their hosts come to.
#[derive(Debug)]
pub(crate) struct RouteMemo<G>(Option<Arc<Kept<G>>>);

#[derive(Debug)]
struct Kept<G> {
    surroundings: Surroundings,
    routes: Routes,
    groups: G,
}

impl<G> Clone for RouteMemo<G> {
    fn clone(&self) -> Self {
        RouteMemo(self.0.clone())
    }
}

impl<G> Default for RouteMemo<G> {
    fn default() -> Self {
        RouteMemo(None)
    }
}

/// The VirtualServices with hosts, in creation order.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    entries: Vec<Entry>,
}

/// One of them, with what can be told without a look at it.
#[derive(Clone, Debug)]
struct Entry {
    /// Where its VirtualService stands in memory, which `bound` keeps there.
    address: usize,
    standing: Standing,
    /// Whether it has rules for connections.
    has_connections: bool,
    /// Whether something is wrong with it.
    has_problems: bool,
    bound: Arc<Bound>,
}

/// Whether what came of a VirtualService can be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It followed from it and its surroundings.
    ByItself,
    /// It delegates, or something was to be said that is said once for all: it is made anew.
    AmongOthers,
}

/// What became of the routes since the conversion before.
pub(crate) enum Since<'m, G> {
    /// They are other ones, or in other surroundings.
    AllChanged,
    /// All but these are the same, in the same order.
    Some {
        /// What their hosts came to.
        groups: &'m G,
        /// Those that are no more.
        gone: Vec<&'m Arc<Bound>>,
        /// The places of those that are new.
        added: Vec<usize>,
    },
}

impl<G> RouteMemo<G> {
    /// Of routes that were made in these surroundings.
    pub(crate) fn new(surroundings: Surroundings, routes: Routes, groups: G) -> Self {
        RouteMemo(Some(Arc::new(Kept { surroundings, routes, groups })))
    }

    /// Makes the routes of VirtualServices, and tells what is other than it was.
    pub(crate) fn renew(
        &self,
        services: &[Arc<VirtualService>],
        (builder, binder): (&mut RouteBuilder<'_, '_>, &Binder<'_>),
        surroundings: &Surroundings,
        findings: &mut Findings,
    ) -> (Routes, Since<'_, G>) {
        let kept = self.0.as_deref().filter(|kept| kept.surroundings == *surroundings);
        let mut known = Known::of(kept.map_or(&[], |kept| &kept.routes.entries));
        let mut entries = Vec::with_capacity(services.len());
        let mut added = Vec::new();
        for service in services {
            let entry = match known.take(service) {
                Some(entry) => entry.clone(),
                None if service.hosts.is_empty() => continue,
                None => {
                    added.push(entries.len());
                    Entry::make(service, builder, binder)
                }
            };
            if entry.has_problems {
                findings.extend(entry.bound.said.iter().cloned());
            }
            entries.push(entry);
        }
        let since = match kept.filter(|_| known.is_in_order) {
            Some(kept) => Since::Some { groups: &kept.groups, gone: known.left(), added },
            None => Since::AllChanged,
        };
        (Routes { entries }, since)
    }
}

impl Routes {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Bound>> {
        self.entries.iter().map(|entry| &entry.bound)
    }

    /// The one at a place.
    pub(crate) fn at(&self, place: usize) -> Option<&Arc<Bound>> {
        self.entries.get(place).map(|entry| &entry.bound)
    }

    /// Those with rules for connections, in their order.
    pub(crate) fn with_connections(&self) -> impl Iterator<Item = &Arc<Bound>> {
        let with = self.entries.iter().filter(|entry| entry.has_connections);
        with.map(|entry| &entry.bound)
    }
}

impl Entry {
    fn make(
        service: &Arc<VirtualService>,
        builder: &mut RouteBuilder<'_, '_>,
        binder: &Binder<'_>,
    ) -> Self {
        let mut said = Findings::default();
        let before = builder.policies.said_once();
        let mut route = builder.build(service, &mut said);
        let is_alone = builder.policies.said_once() == before && !delegates(service);
        route.tcp_rules = tcp_rules(service, builder.lookup, &mut said);
        let servers = binder.bind(service, &mut said);
        let said: Box<[Problem]> = said.into_unsorted().into();
        Entry {
            address: Arc::as_ptr(service).addr(),
            standing: if is_alone { Standing::ByItself } else { Standing::AmongOthers },
            has_connections: !route.tcp_rules.is_empty(),
            has_problems: !said.is_empty(),
            bound: Arc::new(Bound { route, servers, said }),
        }
    }
}

fn delegates(service: &VirtualService) -> bool {
    service.rules.iter().any(|rule| matches!(rule.action, RouteAction::Delegate(_)))
}

/// The entries of the conversion before, of which each is taken once.
struct Known<'k> {
    entries: &'k [Entry],
    taken: Vec<bool>,
    /// Where the next one is looked for first: most conversions differ little from the one before.
    next: usize,
    /// Where each stands, once that is asked.
    places: OnceCell<HashMap<usize, usize>>,
    /// Whether those taken came in their order.
    is_in_order: bool,
}

impl<'k> Known<'k> {
    fn of(entries: &'k [Entry]) -> Self {
        let (taken, places) = (vec![false; entries.len()], OnceCell::new());
        Known { entries, taken, next: 0, places, is_in_order: true }
    }

    /// What came of this very VirtualService, where it can be taken over.
    fn take(&mut self, service: &Arc<VirtualService>) -> Option<&'k Entry> {
        let address = Arc::as_ptr(service).addr();
        let place = match self.entries.get(self.next) {
            Some(entry) if entry.address == address => self.next,
            _ => *self.places().get(&address)?,
        };
        let entry = self.entries.get(place).filter(|e| e.standing == Standing::ByItself)?;
        let taken = self.taken.get_mut(place)?;
        if std::mem::replace(taken, true) {
            return None;
        }
        self.is_in_order &= place >= self.next;
        self.next = place + 1;
        Some(entry)
    }

    fn places(&self) -> &HashMap<usize, usize> {
        let pair = |(place, entry): (usize, &Entry)| (entry.address, place);
        self.places.get_or_init(|| self.entries.iter().enumerate().map(pair).collect())
    }

    /// Those that were not taken.
    fn left(&self) -> Vec<&'k Arc<Bound>> {
        let left = self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken);
        left.map(|(entry, _)| &entry.bound).collect()
    }
}
