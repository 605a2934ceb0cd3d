//! `trafficPolicy` of a DestinationRule or of one of its subsets, and which part of it counts for a port.

use portcullis_model::{
    LocalityBalancing, Origin, OutlierDetection, RetryBudget, UpstreamProxyHeader,
};

use super::connection_pool::{PoolSettings, read_connection_pool};
use super::destination_rule_tls::{UpstreamTls, read_tls};
use super::load_balancer::{LoadBalancer, read_load_balancer};
use super::outlier_detection::read_outlier_detection;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, decimal, port};

/// A `trafficPolicy`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrafficPolicy {
    blocks: Blocks,
    proxy_header: Option<UpstreamProxyHeader>,
    retry_budget: Option<RetryBudget>,
    tls: Option<UpstreamTls>,
    /// `portLevelSettings`
    ports: Vec<PortPolicy>,
}

/// What a policy and a port's policy have in common, but for `tls`.
#[derive(Clone, Debug, Default)]
struct Blocks {
    load_balancer: Option<LoadBalancer>,
    connection_pool: Option<PoolSettings>,
    outliers: Option<OutlierDetection>,
}

/// One entry of `portLevelSettings`.
#[derive(Clone, Debug)]
struct PortPolicy {
    number: u16,
    /// Its path.
    field: Box<str>,
    origin: Origin,
    blocks: Blocks,
    tls: Option<UpstreamTls>,
}

/// What counts for one cluster, of all that is written for it; `None` is the default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effective<'p> {
    pub(crate) load_balancer: Option<&'p LoadBalancer>,
    pub(crate) connection_pool: Option<&'p PoolSettings>,
    pub(crate) outliers: Option<&'p OutlierDetection>,
    pub(crate) proxy_header: Option<UpstreamProxyHeader>,
    pub(crate) retry_budget: Option<RetryBudget>,
}

static POLICY: Schema = Schema {
    what: "a traffic policy",
    served: &[
        "loadBalancer",
        "connectionPool",
        "outlierDetection",
        "tls",
        "portLevelSettings",
        "proxyProtocol",
        "retryBudget",
    ],
    not_yet: &["tunnel"],
    skipped: &[],
};
static PORT_LEVEL: Schema = Schema {
    what: "a port's policy",
    served: &["port", "tls", "connectionPool", "loadBalancer", "outlierDetection"],
    not_yet: &[],
    skipped: &[],
};
static PORT: Schema =
    Schema { what: "a policy's port", served: &["number"], not_yet: &[], skipped: &[] };
static PROXY_PROTOCOL: Schema =
    Schema { what: "a proxyProtocol", served: &["version"], not_yet: &[], skipped: &[] };
static RETRY_BUDGET: Schema = Schema {
    what: "a retry budget",
    served: &["percent", "minRetryConcurrency"],
    not_yet: &[],
    skipped: &[],
};

/// Whether anything less specific than a policy finds out which endpoints are unwell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detection {
    /// It does, unless the policy says otherwise.
    Inherited,
    /// Nothing does.
    Missing,
}

/// Reads a `trafficPolicy`.
pub(super) fn read_policy(cursor: &Cursor<'_>, detection: Detection) -> TrafficPolicy {
    let Some(fields) = cursor.fields(&POLICY) else { return TrafficPolicy::default() };
    let mut policy = TrafficPolicy {
        blocks: read_blocks(&fields, detection),
        proxy_header: fields.field("proxyProtocol").and_then(|field| read_proxy_header(&field)),
        retry_budget: fields.field("retryBudget").and_then(|field| read_retry_budget(&field)),
        tls: fields.field("tls").map(|field| read_tls(&field)),
        ports: Vec::new(),
    };
    if let Some(field) = fields.field("portLevelSettings") {
        for item in field.items() {
            let Some(port) = read_port_level(&item, detection) else { continue };
            if policy.of_port(port.number).is_some() {
                let message =
                    format!("the port {} has two policies; the first counts", port.number);
                item.report(Gravity::Warns, codes::NO_EFFECT, message, "join the two");
            } else {
                policy.ports.push(port);
            }
        }
    }
    policy
}

impl TrafficPolicy {
    /// This policy over what a less specific one says. Each block that is written replaces the whole block; a
    /// policy of the port replaces all of them, written or not, as in Istio.
    pub(crate) fn over<'p>(&'p self, base: Effective<'p>, port: u16) -> Effective<'p> {
        let own = &self.blocks;
        let whole = Effective {
            load_balancer: own.load_balancer.as_ref().or(base.load_balancer),
            connection_pool: own.connection_pool.as_ref().or(base.connection_pool),
            outliers: own.outliers.as_ref().or(base.outliers),
            proxy_header: self.proxy_header.or(base.proxy_header),
            retry_budget: self.retry_budget.or(base.retry_budget),
        };
        let Some(PortPolicy { blocks, .. }) = self.of_port(port) else { return whole };
        Effective {
            load_balancer: blocks.load_balancer.as_ref(),
            connection_pool: blocks.connection_pool.as_ref(),
            outliers: blocks.outliers.as_ref(),
            ..whole
        }
    }

    /// Whether it finds out which endpoints are unwell.
    pub(super) fn detects(&self) -> bool {
        self.blocks.outliers.is_some()
    }

    /// What it says on TLS for a port. In Istio a port's policy without `tls` takes back what the rule says; here
    /// only a written `DISABLE` does, as nobody should send plain text by leaving something out.
    pub(crate) fn tls(&self, port: u16) -> Option<&UpstreamTls> {
        self.of_port(port).and_then(|of_port| of_port.tls.as_ref()).or(self.tls.as_ref())
    }

    /// Whether any part of it asks for TLS.
    pub(crate) fn demands_tls(&self) -> bool {
        let of_ports = self.ports.iter().filter_map(|port| port.tls.as_ref());
        of_ports.chain(&self.tls).any(UpstreamTls::demands_tls)
    }

    /// What it says on TLS, and nothing else.
    pub(crate) fn tls_alone(&self) -> Self {
        let alone = |port: &PortPolicy| PortPolicy { blocks: Blocks::default(), ..port.clone() };
        let ports = self.ports.iter().map(alone).collect();
        TrafficPolicy { tls: self.tls.clone(), ports, ..TrafficPolicy::default() }
    }

    /// The ports that have a policy of their own, each with its field and place.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, &str, &Origin)> {
        self.ports.iter().map(|port| (port.number, &*port.field, &port.origin))
    }

    fn of_port(&self, number: u16) -> Option<&PortPolicy> {
        self.ports.iter().find(|port| port.number == number)
    }
}

fn read_blocks(fields: &Fields<'_>, detection: Detection) -> Blocks {
    let balancer = fields.field("loadBalancer");
    let outliers = fields.field("outlierDetection");
    let blocks = Blocks {
        load_balancer: balancer.as_ref().and_then(read_load_balancer),
        connection_pool: fields
            .field("connectionPool")
            .and_then(|field| read_connection_pool(&field)),
        outliers: outliers.as_ref().and_then(read_outlier_detection),
    };
    let locality = blocks.load_balancer.as_ref().and_then(|balancer| balancer.locality.as_ref());
    if let (Some(field), Some(locality)) = (balancer, locality)
        && fails_over(locality)
        && outliers.is_none()
        && detection == Detection::Missing
    {
        let message = "nothing finds out which endpoints are unwell, so nothing fails over";
        let help = "write `outlierDetection` beside it, or the annotation `portcullis.dev/health-check`; until then localities mean nothing";
        field.report(Gravity::Warns, codes::NO_EFFECT, message, help);
    }
    blocks
}

/// Whether it means something only where endpoints can be unwell.
fn fails_over(locality: &LocalityBalancing) -> bool {
    matches!(locality, LocalityBalancing::Failover(_) | LocalityBalancing::FailoverPriority(_))
}

fn read_port_level(cursor: &Cursor<'_>, detection: Detection) -> Option<PortPolicy> {
    let fields = cursor.fields(&PORT_LEVEL)?;
    let blocks = read_blocks(&fields, detection);
    let tls = fields.field("tls").map(|field| read_tls(&field));
    let number = fields.required("port")?.fields(&PORT)?.required("number").and_then(|n| port(&n));
    let (field, origin) = (cursor.path().into(), cursor.origin());
    Some(PortPolicy { number: number?, field, origin, blocks, tls })
}

fn read_proxy_header(cursor: &Cursor<'_>) -> Option<UpstreamProxyHeader> {
    let fields = cursor.fields(&PROXY_PROTOCOL)?;
    let Some(version) = fields.field("version") else { return Some(UpstreamProxyHeader::V1) };
    choice(&version, &[("V1", UpstreamProxyHeader::V1), ("V2", UpstreamProxyHeader::V2)])
}

fn read_retry_budget(cursor: &Cursor<'_>) -> Option<RetryBudget> {
    let fields = cursor.fields(&RETRY_BUDGET)?;
    let percent = fields.field("percent").and_then(|field| decimal(&field, 0.0, 100.0));
    let least = fields
        .field("minRetryConcurrency")
        .and_then(|field| field.integer(0, i64::from(u32::MAX)))
        .and_then(|number| u32::try_from(number).ok());
    Some(RetryBudget { percent: percent.unwrap_or(20.0), min_concurrency: least.unwrap_or(3) })
}
