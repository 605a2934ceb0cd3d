//! `connectionPool` of a DestinationRule's policies.

use std::time::Duration;

use portcullis_model::{ConnectionPool, Http2Keepalive, Keepalive};

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, count, duration, interval};

/// A `connectionPool`; what is not written has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PoolSettings {
    /// Limits and times.
    pub(crate) pool: ConnectionPool,
    /// What is spoken on the connections.
    pub(crate) http: HttpVersion,
}

/// What a pool says of the version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// Nothing: as the port says.
    #[default]
    AsPort,
    /// `h2UpgradePolicy: UPGRADE`
    Upgraded,
    /// `useClientProtocol`
    Client,
}

static POOL: Schema =
    Schema { what: "a connection pool", served: &["tcp", "http"], not_yet: &[], skipped: &[] };
static TCP: Schema = Schema {
    what: "a pool's tcp settings",
    served: &[
        "maxConnections",
        "connectTimeout",
        "tcpKeepalive",
        "maxConnectionDuration",
        "idleTimeout",
    ],
    not_yet: &[],
    skipped: &[],
};
static KEEPALIVE: Schema = Schema {
    what: "a tcpKeepalive",
    served: &["probes", "time", "interval"],
    not_yet: &[],
    skipped: &[],
};
static HTTP: Schema = Schema {
    what: "a pool's http settings",
    served: &[
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "idleTimeout",
        "h2UpgradePolicy",
        "useClientProtocol",
        "maxConcurrentStreams",
        "http2KeepAlive",
    ],
    not_yet: &[],
    skipped: &[],
};
static HTTP2_KEEPALIVE: Schema = Schema {
    what: "an http2KeepAlive",
    served: &["interval", "timeout"],
    not_yet: &[],
    skipped: &[],
};
const UPGRADES: &[(&str, HttpVersion)] = &[
    ("DEFAULT", HttpVersion::AsPort),
    ("DO_NOT_UPGRADE", HttpVersion::AsPort),
    ("UPGRADE", HttpVersion::Upgraded),
];
/// How long the answer to a PING may take where that is not written, as in Envoy.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a `connectionPool`.
pub(super) fn read_connection_pool(cursor: &Cursor<'_>) -> Option<PoolSettings> {
    let fields = cursor.fields(&POOL)?;
    let mut settings = PoolSettings::default();
    if let Some(tcp) = fields.field("tcp")
        && let Some(tcp) = tcp.fields(&TCP)
    {
        read_tcp(&tcp, &mut settings.pool);
    }
    if let Some(http) = fields.field("http")
        && let Some(http) = http.fields(&HTTP)
    {
        read_http(&http, &mut settings.pool);
        settings.http = read_version(&http);
    }
    Some(settings)
}

fn read_tcp(fields: &Fields<'_>, pool: &mut ConnectionPool) {
    pool.max_connections = limit(fields, "maxConnections");
    pool.max_connection_duration = time(fields, "maxConnectionDuration");
    if let Some(timeout) = time(fields, "connectTimeout") {
        pool.connect_timeout = timeout;
    }
    if let Some(timeout) = fields.field("idleTimeout").and_then(|field| duration(&field)) {
        pool.tcp_idle_timeout = timeout;
    }
    if let Some(field) = fields.field("tcpKeepalive")
        && let Some(fields) = field.fields(&KEEPALIVE)
    {
        let default = Keepalive::default();
        pool.keepalive = Keepalive {
            after: seconds(&fields, "time").unwrap_or(default.after),
            every: seconds(&fields, "interval").unwrap_or(default.every),
            probes: limit(&fields, "probes"),
        };
    }
}

fn read_http(fields: &Fields<'_>, pool: &mut ConnectionPool) {
    pool.max_pending = limit(fields, "http1MaxPendingRequests");
    pool.max_requests = limit(fields, "http2MaxRequests");
    pool.max_requests_per_connection = limit(fields, "maxRequestsPerConnection");
    pool.max_retries = limit(fields, "maxRetries");
    pool.max_concurrent_streams = limit(fields, "maxConcurrentStreams");
    if let Some(timeout) = fields.field("idleTimeout").and_then(|field| duration(&field)) {
        pool.idle_timeout = timeout;
    }
    if let Some(field) = fields.field("http2KeepAlive")
        && let Some(fields) = field.fields(&HTTP2_KEEPALIVE)
        && let Some(interval) = fields.required("interval").and_then(|field| interval(&field))
    {
        let timeout = time(&fields, "timeout").unwrap_or(PING_TIMEOUT);
        pool.http2_keepalive = Some(Http2Keepalive { interval, timeout });
    }
}

/// `useClientProtocol` makes `h2UpgradePolicy` ineffective.
fn read_version(fields: &Fields<'_>) -> HttpVersion {
    let upgrade = fields.field("h2UpgradePolicy");
    let version = upgrade.as_ref().and_then(|field| choice(field, UPGRADES)).unwrap_or_default();
    if fields.field("useClientProtocol").and_then(|field| field.boolean()) != Some(true) {
        return version;
    }
    if let (HttpVersion::Upgraded, Some(field)) = (version, upgrade) {
        let message = "`useClientProtocol` decides, so the upgrade has no effect";
        field.report(Gravity::Warns, codes::NO_EFFECT, message, "keep one of the two");
    }
    HttpVersion::Client
}

/// A limit, of which 0 is none: protobuf cannot tell it from nothing written.
fn limit(fields: &Fields<'_>, name: &str) -> Option<u32> {
    fields.field(name).and_then(|field| count(&field)).filter(|limit| *limit > 0)
}

fn time(fields: &Fields<'_>, name: &str) -> Option<Duration> {
    fields.field(name).and_then(|field| interval(&field))
}

/// A duration that the system counts in seconds.
fn seconds(fields: &Fields<'_>, name: &str) -> Option<Duration> {
    let field = fields.field(name)?;
    let duration = duration(&field)?;
    if duration < Duration::from_secs(1) {
        field.refuse("the shortest keep-alive time is 1s", "the system counts it in seconds");
        return None;
    }
    Some(duration)
}
