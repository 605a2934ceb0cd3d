//! `loadBalancer` of a DestinationRule's policies.

use portcullis_model::{Balancer, LocalityBalancing, Warmup};

use super::consistent_hash::read_consistent_hash;
use super::locality_setting::read_locality_setting;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, decimal, interval};

/// A `loadBalancer`; what is not written has its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadBalancer {
    pub(crate) balancer: Balancer,
    /// `localityLbSetting`
    pub(crate) locality: Option<LocalityBalancing>,
    pub(crate) warmup: Option<Warmup>,
}

static LOAD_BALANCER: Schema = Schema {
    what: "a load balancer",
    served: &["simple", "consistentHash", "localityLbSetting", "warmup", "warmupDurationSecs"],
    not_yet: &[],
    skipped: &[],
};
static WARMUP: Schema = Schema {
    what: "a warm-up",
    served: &["duration", "minimumPercent", "aggression"],
    not_yet: &[],
    skipped: &[],
};
const SIMPLE: &[(&str, MakeBalancer)] = &[
    ("LEAST_REQUEST", || Balancer::LeastRequest),
    ("ROUND_ROBIN", || Balancer::RoundRobin),
    ("RANDOM", || Balancer::Random),
    ("PASSTHROUGH", || Balancer::Passthrough),
    ("UNSPECIFIED", || Balancer::LeastRequest),
    (LEAST_CONN, || Balancer::LeastRequest),
];
/// Makes a balancer, which is no constant as hash keys own memory.
type MakeBalancer = fn() -> Balancer;
const LEAST_CONN: &str = "LEAST_CONN";
/// Where a warm-up begins, in percent of the full share.
const MINIMUM_PERCENT: f64 = 10.0;

/// Reads a `loadBalancer`.
pub(super) fn read_load_balancer(cursor: &Cursor<'_>) -> Option<LoadBalancer> {
    let fields = cursor.fields(&LOAD_BALANCER)?;
    fields.exclusive(&["simple", "consistentHash"]);
    let simple = fields.field("simple").and_then(|field| read_simple(&field));
    let hash = fields.field("consistentHash").and_then(|field| read_consistent_hash(&field));
    let balancer = hash.or(simple).unwrap_or_default();
    let locality = fields.field("localityLbSetting");
    let locality = locality.and_then(|field| read_locality_setting(&field));
    let warmup = read_warmups(&fields, &balancer);
    Some(LoadBalancer { balancer, locality, warmup })
}

fn read_simple(field: &Cursor<'_>) -> Option<Balancer> {
    let balancer = choice(field, SIMPLE)?;
    if field.text() == Some(LEAST_CONN) {
        let message = "LEAST_CONN is deprecated";
        let help = "write LEAST_REQUEST, which it is served as";
        field.report(Gravity::Warns, codes::DEPRECATED, message, help);
    }
    Some(balancer())
}

fn read_warmups(fields: &Fields<'_>, balancer: &Balancer) -> Option<Warmup> {
    fields.exclusive(&["warmup", "warmupDurationSecs"]);
    let old = fields.field("warmupDurationSecs");
    if let Some(field) = &old {
        let message = "`warmupDurationSecs` is deprecated";
        let help = "write `warmup: {duration: …}`, which it is served as";
        field.report(Gravity::Warns, codes::DEPRECATED, message, help);
    }
    let new = fields.field("warmup");
    let warmup = match (&new, &old) {
        (Some(field), _) => read_warmup(field),
        (None, Some(field)) => interval(field).map(|duration| Warmup {
            duration,
            minimum_percent: MINIMUM_PERCENT,
            aggression: 1.0,
        }),
        (None, None) => None,
    }?;
    if matches!(balancer, Balancer::LeastRequest | Balancer::RoundRobin) {
        return Some(warmup);
    }
    if let Some(field) = new.or(old) {
        let message = "only LEAST_REQUEST and ROUND_ROBIN warm endpoints up";
        field.report(
            Gravity::Warns,
            codes::NO_EFFECT,
            message,
            "remove it, or choose one of the two",
        );
    }
    None
}

fn read_warmup(field: &Cursor<'_>) -> Option<Warmup> {
    let fields = field.fields(&WARMUP)?;
    let percent = fields.field("minimumPercent").and_then(|field| decimal(&field, 0.0, 100.0));
    let aggression = fields.field("aggression").and_then(|field| decimal(&field, 1.0, 1000.0));
    Some(Warmup {
        duration: interval(&fields.required("duration")?)?,
        minimum_percent: percent.unwrap_or(MINIMUM_PERCENT),
        aggression: aggression.unwrap_or(1.0),
    })
}
