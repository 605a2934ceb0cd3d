//! Who takes part in a cluster's load at the moment, and with what share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use portcullis_model as model;
use portcullis_model::{Balancer, Locality, Readiness};
use tokio::time::Instant;

use crate::balance::{Heed, Pool};
use crate::endpoint::{Endpoint, EndpointId};
use crate::load::{Level, Load, kept, loads};
use crate::locality::{Surroundings, covers, level_of, shares};
use crate::member::Member;
use crate::pick::Pick;
use crate::warmup::warm_weight;

/// Who takes part in a cluster's load at the moment: groups with shares of it. Made anew when that changes; what
/// happens in between is seen by the endpoints' own conditions.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    /// Those that take load by their shares, then those that take it where no other does.
    groups: Vec<Group>,
    total: u64,
    /// Levels without a share, the nearest first: for attempts that are to go elsewhere.
    standby: Vec<Pool>,
    /// Whether condition is ignored where too few are well.
    panics: bool,
}

#[derive(Debug)]
struct Group {
    /// The shares up to and including its own.
    up_to: u64,
    share: u64,
    pool: Pool,
}

/// What a rotation is made of.
pub(crate) struct Parts<'a> {
    pub(crate) members: &'a [Member],
    pub(crate) settings: &'a model::Cluster,
    pub(crate) here: &'a Surroundings,
    pub(crate) now: Instant,
}

impl Rotation {
    pub(crate) fn build(parts: &Parts<'_>) -> Self {
        let mut rotation = Rotation { panics: parts.panic_below() > 0, ..Rotation::default() };
        let levels = parts.levels();
        let counts: Vec<Level> = levels.iter().map(|members| count(members)).collect();
        for (members, load) in levels.iter().zip(loads(&counts, parts.panic_below())) {
            if load.percent > 0 {
                parts.add_level(&mut rotation, members, load);
            } else {
                // They keep no keys at one endpoint, so the tables of a hash would be for nothing.
                let pool = parts.pool_of(members, Heed::Health, &Balancer::LeastRequest);
                rotation.standby.extend(pool);
            }
        }
        // Where no group has anyone left, the draining may still be better than nobody.
        let draining: Vec<_> = parts.members.iter().filter(|member| drains(member)).collect();
        rotation.add(parts, &draining, 0, Heed::Health);
        rotation
    }

    /// The next endpoint; `None` where there is none.
    pub(crate) fn pick(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        // One group is the rule, and needs no draw.
        let nth = match self.groups.first() {
            Some(group) if group.up_to < self.total => {
                let point = match pick.hash {
                    Some(hash) => hash % self.total,
                    None => draw(self.total),
                };
                self.groups.partition_point(|group| group.up_to <= point)
            }
            _ => 0,
        };
        let drawn = self.groups.get(nth).and_then(|group| group.pool.pick(pick, turn, &mut draw));
        drawn.or_else(|| self.pick_of_rest(pick, turn, draw))
    }

    /// Where whom the draw fell on may not be: another group. Where all that had a share have lost it, whoever stood by
    /// serves until this is made anew, which takes a moment.
    #[cold]
    fn pick_of_rest(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let with_share = |loaded: bool| {
            let of_such = move |group: &&Group| (group.share > 0) == loaded;
            self.groups.iter().filter(of_such).map(|group| &group.pool)
        };
        let mut found = with_share(true).find_map(|pool| pool.pick(pick, turn, &mut draw));
        if found.is_none() && !with_share(true).any(Pool::has_anyone) {
            found = self.standby.iter().find_map(|pool| pool.pick(pick, turn, &mut draw));
            if self.panics {
                found = found
                    .or_else(|| with_share(true).find_map(|pool| pool.pick_any(pick, &mut draw)));
            }
        }
        found.or_else(|| with_share(false).find_map(|pool| pool.pick(pick, turn, &mut draw)))
    }

    /// The next endpoint of the nearest group none of which was tried, also one that stands by; `None` where there is
    /// none.
    pub(crate) fn pick_elsewhere(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let loaded = self.groups.iter().filter(|group| group.share > 0).map(|group| &group.pool);
        let mut untried = loaded
            .chain(&self.standby)
            .filter(|pool| !pick.tried.iter().any(|tried| pool.has(*tried)));
        untried.find_map(|pool| pool.pick(pick, turn, &mut draw))
    }

    /// The endpoints that have a share of the load.
    pub(crate) fn taking_part(&self) -> impl Iterator<Item = EndpointId> {
        let loaded = self.groups.iter().filter(|group| self.total == 0 || group.share > 0);
        loaded.flat_map(|group| group.pool.endpoints())
    }

    fn add(&mut self, parts: &Parts<'_>, members: &[&Member], share: u64, heed: Heed) {
        let Some(pool) = parts.pool_of(members, heed, &parts.settings.balancing.balancer) else {
            return;
        };
        self.total += share;
        self.groups.push(Group { up_to: self.total, share, pool });
    }
}

impl Parts<'_> {
    /// Those that are to take load, the nearest first.
    fn levels(&self) -> Vec<Vec<&Member>> {
        let mut levels: BTreeMap<usize, Vec<&Member>> = BTreeMap::new();
        let shares = shares(self.settings, self.here);
        for member in self.members.iter().filter(|member| member.serves()) {
            let written = &member.resolved.written;
            if shares.is_some_and(|to| !to.iter().any(|(each, _)| is_in(member, each))) {
                continue;
            }
            let level = level_of(written, self.settings, self.here);
            levels.entry(level).or_default().push(member);
        }
        levels.into_values().collect()
    }

    fn panic_below(&self) -> u64 {
        let outliers = self.settings.outliers.as_ref();
        u64::from(outliers.map_or(0, |outliers| outliers.min_health_percent))
    }

    /// One group, or one for each share that is written.
    fn add_level(&self, rotation: &mut Rotation, members: &[&Member], load: Load) {
        let heed = if load.panic { Heed::Nothing } else { Heed::Health };
        let Some(shares) = shares(self.settings, self.here) else {
            return rotation.add(self, members, load.percent, heed);
        };
        let mut left: Vec<&Member> = members.to_vec();
        for (pattern, share) in shares {
            let (there, elsewhere) = left.into_iter().partition(|member| is_in(member, pattern));
            left = elsewhere;
            let kept = if load.panic { 100 } else { kept(count(&there)) };
            let share = load.percent * u64::from(*share) * kept;
            if share > 0 {
                rotation.add(self, &there, share, heed);
            }
        }
    }

    /// Those of the members that take load, balanced so; `None` where there are none.
    fn pool_of(&self, members: &[&Member], heed: Heed, balancer: &Balancer) -> Option<Pool> {
        let mut weighed: Vec<_> = members
            .iter()
            .filter(|member| heed == Heed::Nothing || member.endpoint.condition.takes_load())
            .map(|member| (member.endpoint.clone(), self.weight_of(member)))
            .filter(|(_, weight)| *weight > 0)
            .collect();
        if weighed.is_empty() {
            return None;
        }
        if matches!(balancer, Balancer::Hash { .. }) {
            weighed = one_of_each(weighed);
        }
        let (endpoints, weights): (Vec<_>, Vec<_>) = weighed.into_iter().unzip();
        Some(Pool::new(balancer, endpoints, &weights, heed))
    }

    fn weight_of(&self, member: &Member) -> u64 {
        let weight = u64::from(member.resolved.written.weight);
        let balancing = &self.settings.balancing;
        match (&balancing.warmup, &balancing.balancer) {
            (Some(warmup), Balancer::LeastRequest | Balancer::RoundRobin) => {
                let age = self.now.saturating_duration_since(member.endpoint.serves_since());
                warm_weight(weight, warmup, age)
            }
            _ => weight,
        }
    }
}

fn count(members: &[&Member]) -> Level {
    let healthy = members.iter().filter(|member| member.endpoint.condition.takes_load());
    Level { all: members.len() as u64, healthy: healthy.count() as u64 }
}

fn drains(member: &Member) -> bool {
    let written = &member.resolved.written;
    written.weight > 0 && written.readiness == Readiness::Draining
}

fn is_in(member: &Member, pattern: &str) -> bool {
    let unknown = Locality::default();
    covers(pattern, member.resolved.written.locality.as_deref().unwrap_or(&unknown))
}

/// A consistent hash is made of names, in one order whoever makes it; an address written twice is one.
fn one_of_each(mut weighed: Vec<(Arc<Endpoint>, u64)>) -> Vec<(Arc<Endpoint>, u64)> {
    weighed.sort_by_key(|(endpoint, _)| endpoint.key());
    weighed.dedup_by(|later, earlier| {
        let same = later.0.id == earlier.0.id;
        if same {
            earlier.1 += later.1;
        }
        same
    });
    weighed
}
