//! Istio's `DestinationRule`.

use std::time::Duration;

use portcullis_model::Origin;

use crate::draft::RawObject;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{choice, duration, port};

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
    tls: Option<UpstreamTls>,
    /// `portLevelSettings`
    port_tls: Vec<(u16, UpstreamTls)>,
}

/// What a policy says on TLS to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamTls {
    /// `DISABLE`
    Plain,
    /// Another mode, or one that cannot be read. None is served yet, and plain text is not what was asked
    /// for.
    Demanded,
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
    served: &["connectionPool", "tls", "portLevelSettings"],
    not_yet: &["loadBalancer", "outlierDetection", "tunnel", "proxyProtocol", "retryBudget"],
    skipped: &[],
};
static PORT_LEVEL: Schema = Schema {
    what: "a port's policy",
    served: &["port", "tls"],
    not_yet: &["connectionPool", "loadBalancer", "outlierDetection"],
    skipped: &[],
};
static PORT: Schema =
    Schema { what: "a policy's port", served: &["number"], not_yet: &[], skipped: &[] };
static TLS: Schema = Schema {
    what: "an upstream's tls",
    served: &["mode"],
    not_yet: &[],
    // They mean something beside a mode that is not served, which is said there.
    skipped: &[
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "credentialName",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
        "caCrl",
    ],
};
const MODES: &[(&str, UpstreamTls)] = &[
    ("DISABLE", UpstreamTls::Plain),
    ("SIMPLE", UpstreamTls::Demanded),
    ("MUTUAL", UpstreamTls::Demanded),
    ("ISTIO_MUTUAL", UpstreamTls::Demanded),
];
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

impl DestinationRule {
    /// Whether any part of it asks for TLS.
    pub(crate) fn demands_tls(&self) -> bool {
        let policies = self.subsets.iter().map(|subset| &subset.policy);
        policies.chain([&self.policy]).any(TrafficPolicy::demands_tls)
    }

    /// The rule of a broken object: what it asks of TLS must hold all the same.
    pub(crate) fn tls_alone(&self) -> Self {
        let policy = TrafficPolicy { connection_pool: None, ..self.policy.clone() };
        DestinationRule { policy, subsets: Vec::new(), ..self.clone() }
    }
}

impl TrafficPolicy {
    /// What it says for a port. In Istio a port's policy without `tls` takes back what the rule says; here
    /// only a written `DISABLE` does, as nobody should send plain text by leaving something out.
    pub(crate) fn tls(&self, port: u16) -> Option<UpstreamTls> {
        let of_port = self.port_tls.iter().find(|(number, _)| *number == port);
        of_port.map(|(_, tls)| *tls).or(self.tls)
    }

    fn demands_tls(&self) -> bool {
        let of_ports = self.port_tls.iter().map(|(_, tls)| *tls);
        of_ports.chain(self.tls).any(|tls| tls == UpstreamTls::Demanded)
    }
}

fn read_policy(cursor: &Cursor<'_>) -> TrafficPolicy {
    let Some(fields) = cursor.fields(&POLICY) else { return TrafficPolicy::default() };
    let mut policy = TrafficPolicy {
        connection_pool: fields.field("connectionPool").and_then(|field| read_pool(&field)),
        tls: fields.field("tls").map(|field| read_tls(&field)),
        port_tls: Vec::new(),
    };
    if let Some(field) = fields.field("portLevelSettings") {
        policy.port_tls = field.items().filter_map(|item| read_port_level(&item)).collect();
    }
    policy
}

fn read_port_level(cursor: &Cursor<'_>) -> Option<(u16, UpstreamTls)> {
    let fields = cursor.fields(&PORT_LEVEL)?;
    let tls = fields.field("tls").map(|field| read_tls(&field));
    let number = fields.required("port")?.fields(&PORT)?.required("number").and_then(|n| port(&n));
    Some((number?, tls?))
}

fn read_tls(cursor: &Cursor<'_>) -> UpstreamTls {
    let fields = cursor.fields(&TLS);
    let Some(mode) = fields.as_ref().and_then(|fields| fields.field("mode")) else {
        cursor.not_served(
            Gravity::Degrades,
            "an omitted `mode` means DISABLE in Istio; here plain text has to be asked for",
            "write `mode: DISABLE`; until then the requests that this covers are answered with 503",
        );
        return UpstreamTls::Demanded;
    };
    let known = choice(&mode, MODES);
    if known == Some(UpstreamTls::Demanded) {
        mode.not_served(
            Gravity::Degrades,
            "TLS to the upstream is known, but not served yet",
            "until then the requests that this covers are answered with 503 (UH), as plain text is not what it asks for; write `mode: DISABLE` for plain text",
        );
    }
    known.unwrap_or(UpstreamTls::Demanded)
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
