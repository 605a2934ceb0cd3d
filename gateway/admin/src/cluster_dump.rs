//! The settings of a cluster, as JSON; keys are never part of it.

use std::time::Duration;

use portcullis_model::{
    Balancer, Balancing, Cluster, ConnectionPool, Endpoint, HashKey, HealthCheck,
    LocalityBalancing, OutlierDetection, Probe, Ring, UpstreamTls,
};
use serde_json::{Value, json};

/// Every setting of a cluster, and its endpoints as they are written.
pub(crate) fn cluster(cluster: &Cluster) -> Value {
    json!({
        "name": cluster.name.to_string(),
        "discovery": format!("{:?}", cluster.discovery),
        "protocol": format!("{:?}", cluster.protocol),
        "tls": tls(&cluster.tls),
        "subject_alt_names": &*cluster.subject_alt_names,
        "proxy_header": cluster.proxy_header.map(|header| format!("{header:?}")),
        "balancing": balancing(&cluster.balancing),
        "connect_timeout": seconds(cluster.pool.connect_timeout),
        "idle_timeout": seconds(cluster.pool.idle_timeout),
        "connection_pool": pool(&cluster.pool),
        "outlier_detection": cluster.outliers.as_ref().map(outliers),
        "health_check": cluster.health_check.as_ref().map(health_check),
        "retry_budget": cluster.retry_budget.map(|budget| json!({
            "percent": budget.percent, "min_concurrency": budget.min_concurrency,
        })),
        "endpoints": cluster.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "source": cluster.origin.to_string(),
    })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    json!({
        "address": endpoint.address.to_string(),
        "weight": endpoint.weight,
        "locality": endpoint.locality.as_ref().map(|locality| locality.to_string()),
        "readiness": format!("{:?}", endpoint.readiness),
    })
}

fn tls(tls: &UpstreamTls) -> Value {
    match tls {
        UpstreamTls::Plain => json!("plain"),
        UpstreamTls::Broken(why) => json!({ "broken": &**why }),
        UpstreamTls::Client(client) => json!({
            "peer": format!("{:?}", client.mesh),
            "server_name": format!("{:?}", client.server_name),
            "client_certificate": if client.credential.is_some() { "present" } else { "none" },
        }),
    }
}

fn balancing(balancing: &Balancing) -> Value {
    let hash = match &balancing.balancer {
        Balancer::Hash { key, ring } => Some((key, ring)),
        _ => None,
    };
    let name = match &balancing.balancer {
        Balancer::Hash { ring: Ring::Ring(_), .. } => "RingHash".to_owned(),
        Balancer::Hash { ring: Ring::Maglev(_), .. } => "Maglev".to_owned(),
        simple => format!("{simple:?}"),
    };
    json!({
        "balancer": name,
        "hash_key": hash.map(|(key, _)| hash_key(key)),
        "table_size": hash.map(|(_, ring)| match ring { Ring::Ring(size) | Ring::Maglev(size) => *size }),
        "locality": balancing.locality.as_ref().map(locality),
        "warmup": balancing.warmup.map(|warmup| json!({
            "duration": seconds(warmup.duration),
            "minimum_percent": warmup.minimum_percent,
            "aggression": warmup.aggression,
        })),
    })
}

fn hash_key(key: &HashKey) -> Value {
    match key {
        HashKey::Header(name) => json!({ "header": name.as_str() }),
        HashKey::Query(name) => json!({ "query": &**name }),
        HashKey::SourceAddress => json!("source_address"),
        HashKey::Cookie(cookie) => {
            json!({ "cookie": &*cookie.name, "ttl": cookie.ttl.map(seconds) })
        }
    }
}

fn locality(locality: &LocalityBalancing) -> Value {
    match locality {
        LocalityBalancing::Off => json!("off"),
        LocalityBalancing::Distribute(entries) => json!({
            "distribute": entries.iter().map(|entry| json!({
                "from": &*entry.from,
                "to": entry.to.iter().map(|(to, share)| (to.to_string(), json!(share)))
                    .collect::<serde_json::Map<_, _>>(),
            })).collect::<Vec<_>>(),
        }),
        LocalityBalancing::Failover(entries) => json!({
            "failover": entries.iter().map(|entry| json!({ "from": &*entry.from, "to": &*entry.to }))
                .collect::<Vec<_>>(),
        }),
        LocalityBalancing::FailoverPriority(labels) => json!({ "failover_priority": &**labels }),
    }
}

fn pool(pool: &ConnectionPool) -> Value {
    json!({
        "tcp_idle_timeout": seconds(pool.tcp_idle_timeout),
        "max_connection_duration": pool.max_connection_duration.map(seconds),
        "max_connections": pool.max_connections,
        "keepalive": {
            "after": seconds(pool.keepalive.after),
            "every": seconds(pool.keepalive.every),
            "probes": pool.keepalive.probes,
        },
        "max_pending": pool.max_pending,
        "max_requests": pool.max_requests,
        "max_requests_per_connection": pool.max_requests_per_connection,
        "max_retries": pool.max_retries,
        "max_concurrent_streams": pool.max_concurrent_streams,
        "http2_keepalive": pool.http2_keepalive.map(|keepalive| json!({
            "interval": seconds(keepalive.interval), "timeout": seconds(keepalive.timeout),
        })),
    })
}

fn outliers(outliers: &OutlierDetection) -> Value {
    json!({
        "consecutive_5xx": outliers.consecutive_5xx,
        "consecutive_gateway_errors": outliers.consecutive_gateway_errors,
        "split_local_failures": outliers.split_local_failures,
        "consecutive_local_failures": outliers.consecutive_local_failures,
        "interval": seconds(outliers.interval),
        "base_ejection": seconds(outliers.base_ejection),
        "max_ejection_percent": outliers.max_ejection_percent,
        "min_health_percent": outliers.min_health_percent,
    })
}

fn health_check(check: &HealthCheck) -> Value {
    let probe = match &check.probe {
        Probe::Http { path, host } => json!({ "http": &**path, "host": host.as_deref() }),
        Probe::Grpc { service } => json!({ "grpc": &**service }),
        Probe::Tcp => json!("tcp"),
    };
    json!({
        "probe": probe,
        "interval": seconds(check.interval),
        "timeout": seconds(check.timeout),
        "healthy_threshold": check.healthy_threshold,
        "unhealthy_threshold": check.unhealthy_threshold,
    })
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_model::{
        AffinityCookie, Distribute, EndpointAddress, Http2Keepalive, Locality, RetryBudget,
        UpstreamProxyHeader, Warmup,
    };

    use super::*;

    #[test]
    fn every_setting_of_a_cluster_is_shown() {
        let mut of = Cluster::for_test(&[(([10, 0, 0, 1], 80).into(), 2)]);
        let cookie =
            AffinityCookie { name: "user".into(), path: None, ttl: None, attributes: Vec::new() };
        of.balancing = Balancing {
            balancer: Balancer::Hash { key: HashKey::Cookie(cookie), ring: Ring::Maglev(251) },
            locality: Some(LocalityBalancing::Distribute(Arc::new([Distribute {
                from: "eu".into(),
                to: vec![("eu/a".into(), 100)],
            }]))),
            warmup: Some(Warmup {
                duration: Duration::from_secs(1),
                minimum_percent: 10.0,
                aggression: 1.0,
            }),
        };
        of.pool.max_pending = Some(7);
        of.pool.http2_keepalive = Some(Http2Keepalive {
            interval: Duration::from_secs(2),
            timeout: Duration::from_millis(500),
        });
        of.outliers = Some(OutlierDetection::default());
        of.health_check = Some(HealthCheck::tcp());
        of.retry_budget = Some(RetryBudget { percent: 20.0, min_concurrency: 3 });
        of.proxy_header = Some(UpstreamProxyHeader::V2);
        of.subject_alt_names = Arc::new(["a.example".into()]);
        of.tls = UpstreamTls::Broken("no certificate".into());
        of.endpoints[0].locality =
            Some(Arc::new(Locality { region: "eu".into(), zone: "a".into(), sub_zone: "".into() }));
        let name = Endpoint {
            address: EndpointAddress::Name("b.example".into(), 81),
            ..of.endpoints[0].clone()
        };
        of.endpoints.push(name);
        let shown = cluster(&of);
        let is = |pointer: &str, wanted: Value| {
            assert_eq!(shown.pointer(pointer), Some(&wanted), "{pointer} of {shown:#}");
        };
        is("/tls/broken", json!("no certificate"));
        is("/subject_alt_names/0", json!("a.example"));
        is("/proxy_header", json!("V2"));
        is("/balancing/balancer", json!("Maglev"));
        is("/balancing/hash_key/cookie", json!("user"));
        is("/balancing/table_size", json!(251));
        is("/balancing/locality/distribute/0/to", json!({ "eu/a": 100 }));
        is("/balancing/warmup/minimum_percent", json!(10.0));
        is("/connection_pool/max_pending", json!(7));
        is("/connection_pool/http2_keepalive/timeout", json!(0.5));
        is("/outlier_detection/consecutive_5xx", json!(5));
        is("/health_check/probe", json!("tcp"));
        is("/retry_budget/min_concurrency", json!(3));
        is("/endpoints/0/locality", json!("eu/a"));
        is("/endpoints/0/readiness", json!("Ready"));
        is("/endpoints/1/address", json!("b.example:81"));
    }
}
