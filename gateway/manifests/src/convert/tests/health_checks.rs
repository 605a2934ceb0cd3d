//! The annotation `portcullis.dev/health-check`.

use std::time::Duration;

use portcullis_model::{HealthCheck, Probe};

use super::upstreams::cluster;
use super::{REVIEWS, convert, only_problem, problems};

const CLUSTER: &str = "outbound|80||reviews.example.com";

/// `REVIEWS` with this annotation.
fn reviews(check: &str) -> String {
    let metadata = format!(
        "metadata: {{name: reviews, namespace: shop, annotations: {{portcullis.dev/health-check: '{check}'}}}}"
    );
    REVIEWS.replace("metadata: {name: reviews, namespace: shop}", &metadata)
}

fn read(check: &str) -> HealthCheck {
    let conversion = convert(&[("r.yaml", &reviews(check))]);
    assert_eq!(problems(&conversion), [""; 0], "{check}");
    cluster(&conversion, CLUSTER).health_check.clone().unwrap()
}

#[test]
fn every_probe_is_read_with_its_settings() {
    let whole =
        read("http path=/healthz host=a.example interval=10s timeout=2s healthy=1 unhealthy=4");
    let http = |path: &str, host: Option<&str>| Probe::Http {
        path: path.into(),
        host: host.map(Into::into),
    };
    assert_eq!(
        whole,
        HealthCheck {
            probe: http("/healthz", Some("a.example")),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            healthy_threshold: 1,
            unhealthy_threshold: 4,
        }
    );
    assert_eq!(read("tcp"), HealthCheck::tcp());
    assert_eq!(read("http"), HealthCheck { probe: http("/", None), ..HealthCheck::tcp() });
    let grpc = |service: &str| Probe::Grpc { service: service.into() };
    assert_eq!(read("grpc").probe, grpc(""));
    assert_eq!(read("grpc service=shop.v1").probe, grpc("shop.v1"));
}

#[test]
fn a_destination_rules_check_comes_before_the_services() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop, annotations: {portcullis.dev/health-check: tcp}}
spec: {host: reviews.example.com, subsets: [{name: v1, labels: {version: v1}}]}
";
    let conversion = convert(&[("r.yaml", &reviews("grpc")), ("d.yaml", rule)]);
    assert_eq!(problems(&conversion), [""; 0]);
    for name in [CLUSTER, "outbound|80|v1|reviews.example.com"] {
        assert_eq!(cluster(&conversion, name).health_check, Some(HealthCheck::tcp()));
    }
    let service = "
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop, annotations: {portcullis.dev/health-check: tcp}}
spec: {ports: [{port: 80}]}
";
    let conversion = convert(&[("s.yaml", service)]);
    let found = cluster(&conversion, "outbound|80||a.shop.svc.cluster.local");
    assert_eq!(found.health_check, Some(HealthCheck::tcp()));
}

#[test]
fn every_wrong_check_is_said_at_its_place() {
    let field = "ServiceEntry/shop/reviews metadata.annotations[portcullis.dev/health-check]: ";
    for (check, said) in [
        ("", "the health check is empty"),
        ("ping", "`ping` is no health check"),
        ("http path=healthz", "`path=healthz` is nothing"),
        ("http service=a", "`service=a` is nothing"),
        ("http host=a/b", "`host=a/b` is nothing"),
        ("grpc path=/", "`path=/` is nothing"),
        ("tcp interval=0s", "`interval=0s` is nothing"),
        ("tcp interval=5", "`interval=5` is nothing"),
        ("tcp timeout=soon", "`timeout=soon` is nothing"),
        ("tcp healthy=0", "`healthy=0` is nothing"),
        ("tcp unhealthy=1000", "`unhealthy=1000` is nothing"),
        ("tcp fast", "`fast` is nothing"),
    ] {
        let problem = only_problem(&convert(&[("r.yaml", &reviews(check))]));
        let wanted = format!("error[PC0210] {field}{said}");
        assert!(problem.starts_with("r.yaml:4:") && problem.contains(&wanted), "{problem}");
    }
    let slow = convert(&[("r.yaml", &reviews("tcp interval=1s timeout=2s"))]);
    assert!(only_problem(&slow).contains(&format!("warning[PC0217] {field}")));
    let check = cluster(&slow, CLUSTER).health_check.clone().unwrap();
    assert_eq!(check.timeout, check.interval);
    let unknown = reviews("tcp").replace("health-check", "health-chek");
    let problem = only_problem(&convert(&[("r.yaml", &unknown)]));
    assert!(
        problem.contains("error[PC0206]")
            && problem.contains("did you mean `portcullis.dev/health-check`?"),
        "{problem}"
    );
}
