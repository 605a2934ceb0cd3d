//! A table behind changes of some virtual hosts: those are compiled, and all else is shared with the table before.

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_message::HostPattern;
use portcullis_model::{Listener, OfHost, Rule};
use rustc_hash::FxBuildHasher;

use crate::host_routes::HostRoutes;
use crate::order::{Order, Part};
use crate::slots::Slots;
use crate::table::{Frame, ListenerHost, Numbered, RouteTable, VirtualHost};

/// More changed hosts are compiled by several threads, with all the others.
const MANY: usize = 1000;

impl RouteTable {
    /// The table for the same listeners with other virtual hosts; `None` where they are not the same, or much changed.
    pub(crate) fn renewed(&self, listeners: &[Arc<Listener>]) -> Option<RouteTable> {
        let is_same = |(frame, listener): (&Frame, &Arc<Listener>)| frame.is_around(listener);
        if self.frames.len() != listeners.len() || !self.frames.iter().zip(listeners).all(is_same) {
            return None;
        }
        let changed = self.changed_hosts(listeners);
        if changed.len() > MANY {
            return None;
        }
        let frames = listeners.iter().map(|listener| Frame::of(listener)).collect();
        let (rules, mut hosts) = (self.rules.clone(), self.hosts.clone());
        let mut numbers = Numbers { rules, new: HashMap::default() };
        for (listener, host) in changed {
            // What a listener has that another one takes is merely listed; the numbers are others then.
            let place = hosts.find_containing_mut(host)?;
            if !place.listeners.contains(&listener) {
                return None;
            }
            place.renew(host, listeners, &mut numbers);
        }
        Some(RouteTable { rules: numbers.rules, hosts, frames })
    }

    /// Each with the index of its listener.
    fn changed_hosts<'l>(
        &'l self,
        listeners: &'l [Arc<Listener>],
    ) -> Vec<(usize, &'l HostPattern)> {
        let mut changed = Vec::new();
        for (index, (frame, listener)) in self.frames.iter().zip(listeners).enumerate() {
            let changes = listener.virtual_hosts.changes_since(&frame.virtual_hosts);
            let hosts = changes.iter().filter_map(|change| change.now.or(change.before));
            changed.extend(hosts.map(|virtual_host| (index, virtual_host.host())));
        }
        changed
    }
}

impl ListenerHost {
    fn renew(&mut self, host: &HostPattern, listeners: &[Arc<Listener>], numbers: &mut Numbers) {
        let own = self.listeners.iter().filter_map(|index| listeners.get(*index));
        let parts = own.flat_map(|listener| {
            let virtual_hosts = listener.virtual_hosts.of(host);
            virtual_hosts.map(move |virtual_host| Part { listener, virtual_host })
        });
        let parts: Vec<Part<'_>> = parts.collect();
        let before = self.virtual_hosts.get(host).cloned();
        if parts.is_empty() {
            self.virtual_hosts.remove(host);
        } else {
            let renewed = renewed(&parts, before.as_ref(), numbers);
            let place = self.virtual_hosts.entry(host, || renewed.clone());
            place.into_iter().for_each(|place| *place = renewed.clone());
        }
        before.iter().for_each(|before| numbers.release(before));
    }
}

fn renewed(parts: &[Part<'_>], before: Option<&VirtualHost>, numbers: &mut Numbers) -> VirtualHost {
    let order = Order::of(parts);
    let known = before.map(VirtualHost::numbers_by_address).unwrap_or_default();
    let own = order.rules.iter().map(|rule| numbers.take(rule, &known)).collect();
    let known = before.map(|host| &host.routes).filter(|routes| order.is_that_of(routes));
    let routes = known.cloned();
    let routes =
        routes.unwrap_or_else(|| Arc::new(HostRoutes::compile(order.rules, order.entries)));
    VirtualHost { numbers: own, routes }
}

/// The numbers of rules while some come and go.
struct Numbers {
    rules: Slots<Numbered>,
    /// By the addresses of rules that came.
    new: ByAddress,
}

/// The numbers of rules by their addresses.
type ByAddress = HashMap<usize, u32, FxBuildHasher>;

impl Numbers {
    /// The number of a rule for one host more, which had rules with these numbers before.
    fn take(&mut self, rule: &Arc<Rule>, before: &ByAddress) -> u32 {
        let address = Arc::as_ptr(rule).addr();
        let known = before.get(&address).or_else(|| self.new.get(&address)).copied();
        if let Some(number) = known
            && let Some(numbered) = self.rules.get_mut(number as usize)
        {
            numbered.hosts += 1;
            return number;
        }
        let number = self.rules.add(Numbered { rule: Arc::clone(rule), hosts: 1 });
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.new.insert(address, number);
        number
    }

    /// Takes the rules of a virtual host away where no other has them.
    fn release(&mut self, virtual_host: &VirtualHost) {
        for &number in virtual_host.numbers.iter() {
            let Some(numbered) = self.rules.get_mut(number as usize) else { continue };
            numbered.hosts = numbered.hosts.saturating_sub(1);
            if numbered.hosts == 0 {
                self.rules.remove(number as usize);
            }
        }
    }
}

impl VirtualHost {
    fn numbers_by_address(&self) -> ByAddress {
        let addresses = self.routes.rules.iter().map(|rule| Arc::as_ptr(rule).addr());
        addresses.zip(self.numbers.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_model::{ByHost, VirtualHost};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::generated::{requests, tables};

    /// The same listeners with other virtual hosts: the rules of one become those of another, or it goes, or it comes.
    fn changed(
        listeners: &[Arc<Listener>],
        (which, from, keep): (Index, Index, bool),
    ) -> Vec<Arc<Listener>> {
        let mut all: Vec<Listener> = listeners.iter().map(|each| Listener::clone(each)).collect();
        let place = which.index(all.len());
        let pool: Vec<_> = all.iter().flat_map(|each| &each.virtual_hosts).cloned().collect();
        if pool.is_empty() {
            return listeners.to_vec();
        }
        let (one, other) = (from.get(&pool), which.get(&pool));
        let rules = if keep { other.rules.iter().rev().cloned().collect() } else { Vec::new() };
        let host = one.host.clone();
        let new = keep.then(|| Arc::new(VirtualHost { host: host.clone(), rules }));
        let changes = [(host, new)].into();
        all[place].virtual_hosts = all[place].virtual_hosts.with(&changes);
        all.into_iter().map(Arc::new).collect()
    }

    /// With one virtual host for each host, as manifests have them.
    fn of_manifests(listeners: Vec<Arc<Listener>>) -> Vec<Arc<Listener>> {
        let once = |listener: Arc<Listener>| {
            let mut seen = BTreeSet::new();
            let hosts = listener.virtual_hosts.iter();
            let virtual_hosts: ByHost<VirtualHost> =
                hosts.filter(|each| seen.insert(each.host.clone())).cloned().collect();
            Arc::new(Listener { virtual_hosts, ..Listener::clone(&listener) })
        };
        listeners.into_iter().map(once).collect()
    }

    proptest! {
        /// However often it is renewed, it answers as one that is built from nothing.
        #[test]
        fn a_renewed_table_is_one_built_anew(
            listeners in tables(),
            steps in prop::collection::vec(any::<(Index, Index, bool)>(), 1..8),
            asked in prop::collection::vec(requests(), 1..8),
        ) {
            let mut listeners = of_manifests(listeners);
            let mut table = RouteTable::build(&listeners);
            for step in steps {
                listeners = changed(&listeners, step);
                table = RouteTable::build_with(&listeners, Some(&table));
                let anew = RouteTable::build(&listeners);
                let rule = |table: &RouteTable, number| Arc::as_ptr(table.rule(number).unwrap());
                for request in &asked {
                    let found = |table: &RouteTable| table.find_route(&request.query()).map(|route| (route.listener, rule(table, route.rule_index), route.matched));
                    prop_assert_eq!(found(&table), found(&anew));
                    let listed = |table: &RouteTable| Vec::from_iter(table.consider(&request.query()).rules.into_iter().map(|each| (rule(table, each.rule_index), each.outcome)));
                    prop_assert_eq!(listed(&table), listed(&anew));
                }
            }
        }
    }
}
