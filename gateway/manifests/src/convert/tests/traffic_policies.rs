//! The rest of a DestinationRule's policies, and which of several policies counts.

use std::time::Duration;

use portcullis_model::{
    ConnectionPool, Http2Keepalive, Keepalive, OutlierDetection, RetryBudget, UpstreamProtocol,
    UpstreamProxyHeader,
};

use super::upstreams::{cluster, cluster_under, each_is_said, under, under_rule};
use super::{REVIEWS, convert, problems};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_field_of_a_connection_pool_is_read() {
    let found = cluster_under(
        "{connectionPool: {tcp: {maxConnections: 1, connectTimeout: 2s, tcpKeepalive: {probes: 3, time: 4s, interval: 5s}, maxConnectionDuration: 6s, idleTimeout: 7s}, http: {http1MaxPendingRequests: 8, http2MaxRequests: 9, maxRequestsPerConnection: 10, maxRetries: 11, idleTimeout: 12s, maxConcurrentStreams: 13, http2KeepAlive: {interval: 14s, timeout: 15s}}}}",
    );
    let wanted = ConnectionPool {
        max_connections: Some(1),
        connect_timeout: 2 * SECOND,
        keepalive: Keepalive { probes: Some(3), after: 4 * SECOND, every: 5 * SECOND },
        max_connection_duration: Some(6 * SECOND),
        tcp_idle_timeout: 7 * SECOND,
        max_pending: Some(8),
        max_requests: Some(9),
        max_requests_per_connection: Some(10),
        max_retries: Some(11),
        idle_timeout: 12 * SECOND,
        max_concurrent_streams: Some(13),
        http2_keepalive: Some(Http2Keepalive { interval: 14 * SECOND, timeout: 15 * SECOND }),
    };
    assert_eq!(found.pool, wanted);
    let none = "{connectionPool: {tcp: {maxConnections: 0, idleTimeout: 0s}, http: {http2MaxRequests: 0, idleTimeout: 0s}}}";
    let wanted = ConnectionPool {
        tcp_idle_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        ..ConnectionPool::default()
    };
    assert_eq!(cluster_under(none).pool, wanted);
    assert_eq!(cluster_under("{connectionPool: {}}").pool, ConnectionPool::default());
}

#[test]
fn a_pool_decides_on_the_version_of_http() {
    let protocol =
        |http: &str| cluster_under(&format!("{{connectionPool: {{http: {http}}}}}")).protocol;
    assert_eq!(protocol("{h2UpgradePolicy: UPGRADE}"), UpstreamProtocol::Http2);
    assert_eq!(protocol("{h2UpgradePolicy: DO_NOT_UPGRADE}"), UpstreamProtocol::Http1);
    assert_eq!(protocol("{h2UpgradePolicy: DEFAULT}"), UpstreamProtocol::Http1);
    assert_eq!(protocol("{useClientProtocol: true}"), UpstreamProtocol::Client);
    assert_eq!(protocol("{useClientProtocol: false}"), UpstreamProtocol::Http1);
}

#[test]
fn every_wrong_pool_is_said_at_its_place() {
    let bad = "error[PC0210]";
    each_is_said(&[
        ("{connectionPool: {tcp: {maxConnections: -1}}}", bad, "connectionPool.tcp.maxConnections"),
        ("{connectionPool: {tcp: {connectTimeout: 0s}}}", bad, "connectionPool.tcp.connectTimeout"),
        (
            "{connectionPool: {tcp: {connectTimeout: 1}}}",
            "error[PC0208]",
            "connectionPool.tcp.connectTimeout",
        ),
        ("{connectionPool: {tcp: {idleTimeout: long}}}", bad, "connectionPool.tcp.idleTimeout"),
        (
            "{connectionPool: {tcp: {maxConnectionDuration: 1us}}}",
            bad,
            "connectionPool.tcp.maxConnectionDuration",
        ),
        (
            "{connectionPool: {tcp: {tcpKeepalive: {time: 1ms}}}}",
            bad,
            "connectionPool.tcp.tcpKeepalive.time",
        ),
        (
            "{connectionPool: {tcp: {tcpKeepalive: {interval: 1ms}}}}",
            bad,
            "connectionPool.tcp.tcpKeepalive.interval",
        ),
        (
            "{connectionPool: {tcp: {tcpKeepalive: {probes: -1}}}}",
            bad,
            "connectionPool.tcp.tcpKeepalive.probes",
        ),
        ("{connectionPool: {http: {maxRetries: -1}}}", bad, "connectionPool.http.maxRetries"),
        (
            "{connectionPool: {http: {http1MaxPendingRequests: -1}}}",
            bad,
            "connectionPool.http.http1MaxPendingRequests",
        ),
        (
            "{connectionPool: {http: {http2MaxRequests: 99999999999}}}",
            bad,
            "connectionPool.http.http2MaxRequests",
        ),
        (
            "{connectionPool: {http: {maxRequestsPerConnection: -1}}}",
            bad,
            "connectionPool.http.maxRequestsPerConnection",
        ),
        (
            "{connectionPool: {http: {maxConcurrentStreams: -1}}}",
            bad,
            "connectionPool.http.maxConcurrentStreams",
        ),
        (
            "{connectionPool: {http: {h2UpgradePolicy: MAYBE}}}",
            bad,
            "connectionPool.http.h2UpgradePolicy",
        ),
        (
            "{connectionPool: {http: {useClientProtocol: 1}}}",
            "error[PC0208]",
            "connectionPool.http.useClientProtocol",
        ),
        (
            "{connectionPool: {http: {http2KeepAlive: {}}}}",
            "error[PC0209]",
            "connectionPool.http.http2KeepAlive.interval",
        ),
        (
            "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}",
            "warning[PC0217]",
            "connectionPool.http.h2UpgradePolicy",
        ),
        ("{connectionPool: {udp: {}}}", "error[PC0206]", "connectionPool.udp"),
    ]);
}

#[test]
fn every_field_of_an_outlier_detection_is_read() {
    let found = cluster_under(
        "{outlierDetection: {consecutive5xxErrors: 9, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, interval: 4s, baseEjectionTime: 5s, maxEjectionPercent: 60, minHealthPercent: 7}}",
    );
    let wanted = OutlierDetection {
        consecutive_5xx: 9,
        consecutive_gateway_errors: 2,
        split_local_failures: true,
        consecutive_local_failures: 3,
        interval: 4 * SECOND,
        base_ejection: 5 * SECOND,
        max_ejection_percent: 60,
        min_health_percent: 7,
    };
    assert_eq!(found.outliers, Some(wanted));
    assert_eq!(cluster_under("{outlierDetection: {}}").outliers, Some(OutlierDetection::default()));
    let zero = cluster_under("{outlierDetection: {maxEjectionPercent: 0}}");
    assert_eq!(zero.outliers, Some(OutlierDetection::default()));
    assert_eq!(cluster_under("{}").outliers, None);
    let old = under("{outlierDetection: {consecutiveErrors: 4}}");
    let old = cluster(&old, "outbound|80||reviews.example.com").outliers.clone().unwrap();
    assert_eq!((old.consecutive_gateway_errors, old.consecutive_5xx), (4, 0));
}

#[test]
fn every_wrong_outlier_detection_is_said_at_its_place() {
    let (bad, none) = ("error[PC0210]", "warning[PC0217]");
    let field = "outlierDetection";
    each_is_said(&[
        (
            "{outlierDetection: {consecutive5xxErrors: -1}}",
            bad,
            "outlierDetection.consecutive5xxErrors",
        ),
        (
            "{outlierDetection: {consecutiveGatewayErrors: -1}}",
            bad,
            "outlierDetection.consecutiveGatewayErrors",
        ),
        ("{outlierDetection: {interval: 0s}}", bad, "outlierDetection.interval"),
        ("{outlierDetection: {baseEjectionTime: 0s}}", bad, "outlierDetection.baseEjectionTime"),
        (
            "{outlierDetection: {maxEjectionPercent: 101}}",
            bad,
            "outlierDetection.maxEjectionPercent",
        ),
        ("{outlierDetection: {minHealthPercent: -1}}", bad, "outlierDetection.minHealthPercent"),
        ("{outlierDetection: {consecutiveErrors: 4}}", "warning[PC0216]", field),
        ("{outlierDetection: {consecutive5xxErrors: 0}}", none, field),
        (
            "{outlierDetection: {consecutiveGatewayErrors: 5}}",
            none,
            "outlierDetection.consecutiveGatewayErrors",
        ),
        (
            "{outlierDetection: {consecutiveLocalOriginFailures: 5}}",
            none,
            "outlierDetection.consecutiveLocalOriginFailures",
        ),
        (
            "{outlierDetection: {splitExternalLocalOriginErrors: yes!}}",
            "error[PC0208]",
            "outlierDetection.splitExternalLocalOriginErrors",
        ),
    ]);
}

#[test]
fn proxy_protocol_and_retry_budget_are_read() {
    let header = |text: &str| cluster_under(&format!("{{proxyProtocol: {text}}}")).proxy_header;
    assert_eq!(header("{}"), Some(UpstreamProxyHeader::V1));
    assert_eq!(header("{version: V1}"), Some(UpstreamProxyHeader::V1));
    assert_eq!(header("{version: V2}"), Some(UpstreamProxyHeader::V2));
    assert_eq!(cluster_under("{}").proxy_header, None);
    let budget = |text: &str| cluster_under(&format!("{{retryBudget: {text}}}")).retry_budget;
    assert_eq!(budget("{}"), Some(RetryBudget { percent: 20.0, min_concurrency: 3 }));
    let wanted = RetryBudget { percent: 12.5, min_concurrency: 0 };
    assert_eq!(budget("{percent: 12.5, minRetryConcurrency: 0}"), Some(wanted));
    each_is_said(&[
        ("{proxyProtocol: {version: V3}}", "error[PC0210]", "proxyProtocol.version"),
        ("{retryBudget: {percent: 100.5}}", "error[PC0210]", "retryBudget.percent"),
        (
            "{retryBudget: {minRetryConcurrency: -1}}",
            "error[PC0210]",
            "retryBudget.minRetryConcurrency",
        ),
        ("{tunnel: {targetHost: a, targetPort: 1}}", "warning[PC0207]", "tunnel"),
    ]);
}

#[test]
fn a_ports_policy_replaces_and_a_subsets_overrides_block_by_block() {
    let conversion = under_rule(
        "host: reviews.example.com
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}}
    outlierDetection: {interval: 1s}
    proxyProtocol: {}
    portLevelSettings:
    - {port: {number: 80}, connectionPool: {tcp: {connectTimeout: 2s}}}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {outlierDetection: {interval: 3s}, retryBudget: {}}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      connectionPool: {tcp: {maxConnections: 4}}
      portLevelSettings: [{port: {number: 80}, outlierDetection: {}}]",
    );
    assert_eq!(problems(&conversion), [""; 0]);
    let of = |subset: &str| {
        let found = cluster(&conversion, &format!("outbound|80|{subset}|reviews.example.com"));
        let interval = found.outliers.as_ref().map(|outliers| outliers.interval.as_secs());
        let pool = &found.pool;
        let timeout = pool.connect_timeout.as_secs();
        let (header, budget) = (found.proxy_header.is_some(), found.retry_budget.is_some());
        (pool.max_connections, timeout, interval, header, budget)
    };
    assert_eq!(of(""), (None, 2, None, true, false));
    assert_eq!(of("v1"), (None, 2, Some(3), true, true));
    assert_eq!(of("v2"), (None, 10, Some(10), true, false));
}

#[test]
fn ports_of_policies_are_checked() {
    let port = |settings: &str| problems(&under(&format!("{{portLevelSettings: [{settings}]}}")));
    let found = port("{port: {number: 81}, outlierDetection: {}}");
    assert!(found.len() == 1 && found[0].starts_with("d.yaml:6:39: warning[PC0306] DestinationRule/shop/reviews spec.trafficPolicy.portLevelSettings[0]: `reviews.example.com` has no port 81"), "{found:#?}");
    let found = port("{port: {number: 80}}, {port: {number: 80}}");
    assert!(found.len() == 1 && found[0].contains("warning[PC0217]"), "{found:#?}");
    assert!(port("{}")[0].contains("error[PC0209]"));
    assert!(port("{port: {number: 0}}")[0].contains("error[PC0210]"));
}

/// A rule of a namespace with this name and spec.
fn rule(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

/// The pool's limit of the whole service under these rules, and the problems.
fn limit_under(rules: &[String]) -> (Option<u32>, Vec<String>) {
    let conversion =
        convert(&[("g.yaml", super::GATEWAY), ("r.yaml", REVIEWS), ("d.yaml", &rules.concat())]);
    let limit = cluster(&conversion, "outbound|80||reviews.example.com").pool.max_connections;
    (limit, problems(&conversion))
}

fn limits(number: u32) -> String {
    format!("trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {number}}}}}}}")
}

#[test]
fn the_most_specific_host_wins_then_the_nearest_namespace_then_the_older_rule() {
    let exact = |name: &str, namespace: &str, number| {
        rule(name, namespace, &format!("host: reviews.example.com, {}", limits(number)))
    };
    let wide =
        |host: &str, number| rule("wide", "shop", &format!("host: '{host}', {}", limits(number)));
    let (limit, said) = limit_under(&[wide("*.example.com", 1), exact("a", "shop", 2)]);
    assert_eq!((limit, said.len()), (Some(2), 0), "{said:#?}");
    let longer = rule("longer", "shop", &format!("host: '*.example.com', {}", limits(3)));
    let (limit, said) = limit_under(&[wide("*.com", 1), longer]);
    assert_eq!((limit, said.len()), (Some(3), 0), "{said:#?}");
    let (limit, said) = limit_under(&[exact("a", "shop", 1), exact("b", "shop", 2)]);
    assert_eq!(limit, Some(1));
    assert!(said.len() == 1 && said[0].contains("warning[PC0330] DestinationRule/shop/b spec.trafficPolicy: DestinationRule/shop/a has a policy"), "{said:#?}");
    assert_eq!(limit_under(&[exact("a", "shop", 1), exact("b", "edge", 2)]).0, Some(2));
    assert_eq!(limit_under(&[exact("a", "other", 1), exact("b", "shop", 2)]).0, Some(2));
    assert_eq!(limit_under(&[exact("a", "istio-system", 1), exact("b", "other", 2)]).0, Some(2));
}

#[test]
fn subsets_of_several_rules_add_up_and_the_first_of_a_name_counts() {
    let subset = |name: &str, version: &str| {
        rule(
            name,
            "shop",
            &format!(
                "host: reviews.example.com, subsets: [{{name: {version}, labels: {{version: {version}}}}}]"
            ),
        )
    };
    let rules = [subset("a", "v1"), subset("b", "v2"), subset("c", "v1")].concat();
    let conversion = convert(&[("r.yaml", REVIEWS), ("d.yaml", &rules)]);
    cluster(&conversion, "outbound|80|v1|reviews.example.com");
    cluster(&conversion, "outbound|80|v2|reviews.example.com");
    let said = problems(&conversion);
    assert!(
        said.len() == 1
            && said[0].contains("warning[PC0330] DestinationRule/shop/c spec.subsets[0]"),
        "{said:#?}"
    );
}

#[test]
fn a_rule_for_others_has_no_effect() {
    let of = |more: &str| {
        limit_under(&[rule(
            "a",
            "shop",
            &format!("host: reviews.example.com, {}, {more}", limits(7)),
        )])
    };
    for more in ["exportTo: ['*']", "exportTo: [edge]", "exportTo: []"] {
        let (limit, said) = of(more);
        assert_eq!((limit, said.len()), (Some(7), 0), "{more}: {said:#?}");
    }
    for (more, field) in [
        ("exportTo: ['.']", "spec.exportTo"),
        ("exportTo: ['~']", "spec.exportTo"),
        ("exportTo: [other]", "spec.exportTo"),
        ("workloadSelector: {matchLabels: {app: a}}", "spec.workloadSelector"),
    ] {
        let (limit, said) = of(more);
        let wanted = format!("warning[PC0217] DestinationRule/shop/a {field}: ");
        assert!(limit.is_none() && said.len() == 1 && said[0].contains(&wanted), "{said:#?}");
    }
    assert!(
        of("exportTo: ['a b']").1[0]
            .contains("error[PC0210] DestinationRule/shop/a spec.exportTo[0]")
    );
    assert!(of("workloadSelector: {labels: {}}").1[0].contains("error[PC0206]"));
    let near = |labels: &str| {
        limit_under(&[rule(
            "a",
            "edge",
            &format!(
                "host: reviews.example.com, {}, workloadSelector: {{matchLabels: {{{labels}}}}}",
                limits(7)
            ),
        )])
        .0
    };
    assert_eq!(near("istio: ingressgateway"), Some(7));
    assert_eq!(near("istio: other"), None);
    // A rule that picks by labels comes before one that does not.
    let plain = rule("a", "edge", &format!("host: reviews.example.com, {}", limits(1)));
    let picky = rule(
        "b",
        "edge",
        &format!(
            "host: reviews.example.com, {}, workloadSelector: {{matchLabels: {{istio: ingressgateway}}}}",
            limits(2)
        ),
    );
    assert_eq!(limit_under(&[plain, picky]).0, Some(2));
}
