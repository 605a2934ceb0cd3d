//! Istio's `DestinationRule`.

use std::time::Duration;

use portcullis_model::Origin;

use crate::draft::RawObject;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::duration;

/// A DestinationRule.
#[derive(Clone, Debug)]
pub(crate) struct DestinationRule {
    pub(crate) metadata: Metadata,
    /// In lower case; `*.suffix` is allowed.
    pub(crate) host: Box<str>,
    pub(crate) host_origin: Origin,
    pub(crate) policy: TrafficPolicy,
    pub(crate) subsets: Vec<Subset>,
}

/// One entry of `subsets`.
#[derive(Clone, Debug)]
pub(crate) struct Subset {
    pub(crate) origin: Origin,
    /// Which one of `spec.subsets` it is.
    pub(crate) index: usize,
    pub(crate) name: Box<str>,
    /// Labels that an endpoint must have.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) policy: TrafficPolicy,
}

/// `trafficPolicy`, as far as it is served.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrafficPolicy {
    /// A subset's replaces the rule's whole.
    pub(crate) connection_pool: Option<ConnectionPool>,
}

/// `connectionPool`, as far as it is served.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionPool {
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
}

static SPEC: Schema = Schema {
    what: "a DestinationRule",
    served: &["host", "trafficPolicy", "subsets"],
    not_yet: &["exportTo", "workloadSelector"],
    skipped: &[],
};
static SUBSET: Schema = Schema {
    what: "a subset",
    served: &["name", "labels", "trafficPolicy"],
    not_yet: &[],
    skipped: &[],
};
static POLICY: Schema = Schema {
    what: "a traffic policy",
    served: &["connectionPool", "tls"],
    not_yet: &[
        "loadBalancer",
        "outlierDetection",
        "portLevelSettings",
        "tunnel",
        "proxyProtocol",
        "retryBudget",
    ],
    skipped: &[],
};
static POOL: Schema =
    Schema { what: "a connection pool", served: &["tcp", "http"], not_yet: &[], skipped: &[] };
static TCP: Schema = Schema {
    what: "a pool's tcp settings",
    served: &["connectTimeout"],
    not_yet: &["maxConnections", "tcpKeepalive", "maxConnectionDuration", "idleTimeout"],
    skipped: &[],
};
static HTTP: Schema = Schema {
    what: "a pool's http settings",
    served: &["idleTimeout"],
    not_yet: &[
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "h2UpgradePolicy",
        "useClientProtocol",
        "maxConcurrentStreams",
        "http2KeepAlive",
    ],
    skipped: &[],
};

/// Reads a DestinationRule.
pub(crate) fn read_destination_rule(raw: &RawObject, report: &Report) -> Option<DestinationRule> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let policy = spec.field("trafficPolicy").map(|field| read_policy(&field)).unwrap_or_default();
    let mut subsets: Vec<Subset> = Vec::new();
    if let Some(field) = spec.field("subsets") {
        for (index, item) in field.items().enumerate() {
            let Some(subset) = read_subset(&item, index) else { continue };
            if subsets.iter().any(|known| known.name == subset.name) {
                let message = format!("the subset `{}` is written twice", subset.name);
                item.refuse(message, "rename or remove one of them");
            } else {
                subsets.push(subset);
            }
        }
    }
    let field = spec.required("host")?;
    let host = field.text()?.to_ascii_lowercase().into();
    Some(DestinationRule { metadata, host, host_origin: field.origin(), policy, subsets })
}

fn read_subset(cursor: &Cursor<'_>, index: usize) -> Option<Subset> {
    let fields = cursor.fields(&SUBSET)?;
    let labels = fields.field("labels").map(|field| field.text_map()).unwrap_or_default();
    let policy = fields.field("trafficPolicy").map(|field| read_policy(&field)).unwrap_or_default();
    let name = fields.required("name")?.text()?.into();
    Some(Subset { origin: cursor.origin(), index, name, labels, policy })
}

fn read_policy(cursor: &Cursor<'_>) -> TrafficPolicy {
    let Some(fields) = cursor.fields(&POLICY) else { return TrafficPolicy::default() };
    if let Some(tls) = fields.field("tls")
        && tls.node().field("mode").and_then(|mode| mode.text()) != Some("DISABLE")
    {
        tls.not_served(
            Gravity::Warns,
            "TLS to the upstream is known, but not served yet",
            "requests are sent in plain text; write `mode: DISABLE` to say that this is meant",
        );
    }
    let pool = fields.field("connectionPool").and_then(|field| read_pool(&field));
    TrafficPolicy { connection_pool: pool }
}

fn read_pool(cursor: &Cursor<'_>) -> Option<ConnectionPool> {
    let fields = cursor.fields(&POOL)?;
    let mut pool = ConnectionPool::default();
    if let Some(tcp) = fields.field("tcp")
        && let Some(tcp) = tcp.fields(&TCP)
    {
        pool.connect_timeout = positive(tcp.field("connectTimeout"));
    }
    if let Some(http) = fields.field("http")
        && let Some(http) = http.fields(&HTTP)
    {
        pool.idle_timeout = positive(http.field("idleTimeout"));
    }
    Some(pool)
}

fn positive(field: Option<Cursor<'_>>) -> Option<Duration> {
    let field = field?;
    let duration = duration(&field)?;
    if duration < Duration::from_millis(1) {
        field.refuse("the shortest timeout is 1ms", "");
        return None;
    }
    Some(duration)
}
