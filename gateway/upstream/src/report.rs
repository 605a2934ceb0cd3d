//! What a cluster's endpoints are doing, for people: `/clusters`, `explain`, metrics.

use std::time::Duration;

use portcullis_model::Readiness;
use tokio::time::Instant;

use crate::breakers::Breaker;
use crate::cluster::Cluster;
use crate::condition::{EndpointState, Offence};
use crate::member::Member;

/// One endpoint, and whether it takes part in the cluster's load.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// The endpoint.
    pub member: Member,
    /// What it does.
    pub role: Role,
}

/// Whether an endpoint takes part in its cluster's load, and if not, why.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It does.
    Healthy,
    /// It does, with less than its share as yet.
    Warming,
    /// It is well, and others are nearer or have its share.
    Standby,
    /// Its weight is 0.
    Weightless,
    /// It is terminating, and takes requests only where no other can.
    Draining,
    /// It serves nothing, as is written.
    NotReady,
    /// It was ejected for this.
    Ejected {
        /// What for.
        offence: Offence,
        /// For how long from now.
        remaining: Duration,
    },
    /// Health checks found this.
    Unhealthy(String),
    /// It has left the cluster.
    Removed,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReport {
    /// Which.
    pub breaker: Breaker,
    /// How many there may be.
    pub limit: u32,
    /// How many there are.
    pub now: u32,
    /// How often there was no place left.
    pub overflows: u64,
}

impl Cluster {
    /// What its endpoints do at this moment, in the order written.
    pub fn report(&self) -> Vec<EndpointReport> {
        let (set, now) = (self.set(), Instant::now());
        let taking_part = set.taking_part();
        let report = |member: &Member| {
            let part = taking_part.contains(&member.endpoint.id);
            EndpointReport { member: member.clone(), role: self.role(member, part, now) }
        };
        set.members().iter().map(report).collect()
    }

    /// The limits that are set, and how they stand.
    pub fn limits(&self) -> impl Iterator<Item = LimitReport> {
        Breaker::ALL.into_iter().filter_map(|breaker| {
            let limit = breaker.limit(&self.settings().pool)?;
            let (now, overflows) = self.line().standing.reading(breaker);
            Some(LimitReport { breaker, limit, now, overflows })
        })
    }

    /// How many endpoints were ejected for this since the cluster came to be.
    pub fn ejections(&self, offence: Offence) -> u64 {
        self.line().standing.ejections(offence)
    }

    /// How many endpoints are ejected now.
    pub fn ejected(&self) -> usize {
        self.line().standing.ejected()
    }

    fn role(&self, member: &Member, takes_part: bool, now: Instant) -> Role {
        let written = &member.resolved.written;
        match member.endpoint.state() {
            EndpointState::Removed => return Role::Removed,
            EndpointState::Unhealthy(reason) => return Role::Unhealthy(reason.to_string()),
            EndpointState::Ejected { offence, until } => {
                let remaining = until.saturating_duration_since(now);
                return Role::Ejected { offence, remaining };
            }
            EndpointState::Healthy => {}
        }
        let warmup = self.settings().balancing.warmup;
        let age = now.saturating_duration_since(member.endpoint.serves_since());
        match written.readiness {
            Readiness::NotReady => Role::NotReady,
            _ if written.weight == 0 => Role::Weightless,
            Readiness::Draining => Role::Draining,
            Readiness::Ready if !takes_part => Role::Standby,
            Readiness::Ready if warmup.is_some_and(|warmup| age < warmup.duration) => Role::Warming,
            Readiness::Ready => Role::Healthy,
        }
    }
}

impl Role {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Role::Healthy => "healthy",
            Role::Warming => "warming",
            Role::Standby => "standby",
            Role::Weightless => "weight 0",
            Role::Draining => "draining",
            Role::NotReady => "not ready",
            Role::Ejected { .. } => "ejected",
            Role::Unhealthy(_) => "unhealthy",
            Role::Removed => "removed",
        }
    }

    /// Why, where the word alone does not say it.
    pub fn reason(&self) -> Option<String> {
        match self {
            Role::Ejected { offence, remaining } => {
                Some(format!("{}, for another {} ms", offence.word(), remaining.as_millis()))
            }
            Role::Unhealthy(reason) => Some(reason.clone()),
            Role::Standby => Some("others are nearer, or have its share".to_owned()),
            _ => None,
        }
    }
}
