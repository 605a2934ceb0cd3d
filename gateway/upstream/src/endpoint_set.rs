//! The endpoints of a cluster at one moment: immutable, replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use portcullis_model as model;
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use crate::endpoint::{Endpoint, EndpointId};
use crate::locality::Surroundings;
use crate::member::Member;
use crate::pick::Pick;
use crate::rotation::{Parts, Rotation};

/// The endpoints of a cluster at one moment, and who of them takes part in its load.
#[derive(Debug)]
pub struct EndpointSet {
    members: Arc<[Member]>,
    rotation: Rotation,
}

impl EndpointSet {
    /// The members, in the order written.
    pub fn members(&self) -> &Arc<[Member]> {
        &self.members
    }

    /// The endpoints that have a share of the load.
    pub(crate) fn taking_part(&self) -> FxHashSet<EndpointId> {
        self.rotation.taking_part().collect()
    }

    /// The next endpoint; `None` where there is none.
    pub(crate) fn pick(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let picked = self.rotation.pick(pick, turn, &mut draw);
        picked.or_else(|| self.pick_among_departed(pick, draw))
    }

    /// A request that began under an earlier configuration may find that all of its endpoints have left meanwhile.
    /// What has left mostly still serves for a moment, and there is nobody else.
    #[cold]
    fn pick_among_departed(
        &self,
        pick: &Pick<'_>,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        let departed = self.members.iter().filter(|member| {
            member.serves()
                && member.endpoint.condition.has_only_left()
                && pick.may_be(&member.endpoint)
        });
        let (mut many, mut drawn) = (0, None);
        for member in departed {
            many += 1;
            if draw(many) == 0 {
                drawn = Some(&member.endpoint);
            }
        }
        drawn
    }

    /// The next endpoint of the nearest group none of which was tried; `None` where there is none.
    pub(crate) fn pick_elsewhere(
        &self,
        pick: &Pick<'_>,
        turn: &AtomicU64,
        draw: impl FnMut(u64) -> u64,
    ) -> Option<&Arc<Endpoint>> {
        self.rotation.pick_elsewhere(pick, turn, draw)
    }

    /// Builds the set of these members, as their condition is now.
    pub(crate) fn build(
        members: Arc<[Member]>,
        settings: &model::Cluster,
        here: &Surroundings,
        now: Instant,
    ) -> Self {
        let rotation = Rotation::build(&Parts { members: &members, settings, here, now });
        EndpointSet { members, rotation }
    }

    /// The same members, as their condition is now.
    pub(crate) fn renewed(
        &self,
        settings: &model::Cluster,
        here: &Surroundings,
        now: Instant,
    ) -> Self {
        EndpointSet::build(self.members.clone(), settings, here, now)
    }
}
