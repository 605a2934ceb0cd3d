//! Services to clusters, and destinations that are not there.

use std::time::Duration;

use super::{GATEWAY, REVIEWS, convert, only_problem, problems, route};

fn clusters(conversion: &super::Conversion) -> Vec<String> {
    let clusters = conversion.model.clusters.values().map(|cluster| {
        let endpoints = cluster.endpoints.iter();
        let endpoints: Vec<_> =
            endpoints.map(|endpoint| format!("{}*{}", endpoint.address, endpoint.weight)).collect();
        format!("{} {}", cluster.name, endpoints.join(" "))
    });
    clusters.collect()
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  clusterIP: None
  selector: {app: reviews}
  ports:
  - {name: http, port: 80, targetPort: web, appProtocol: http}
  - {name: dns, port: 53, protocol: UDP}
  - {name: admin, port: 9000, targetPort: 9001}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: shop, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: admin, port: 9001}]
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true, serving: true}, zone: a}
- {addresses: [10.0.0.2], conditions: {ready: false}}
- {addresses: [10.0.0.3]}
";

#[test]
fn every_port_and_subset_is_a_cluster() {
    let rule = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews.example.com
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 2s}, http: {idleTimeout: 1m}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}
";
    let conversion = convert(&[("r.yaml", REVIEWS), ("d.yaml", rule), ("s.yaml", SERVICE)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        clusters(&conversion),
        [
            "outbound|80||reviews.example.com 10.0.0.1:8080*1 10.0.0.2:80*3",
            "outbound|80|v1|reviews.example.com 10.0.0.1:8080*1",
            "outbound|80|v2|reviews.example.com 10.0.0.2:80*3",
            "outbound|80||reviews.shop.svc.cluster.local 10.0.0.1:8080*1 10.0.0.3:8080*1",
            "outbound|9000||reviews.shop.svc.cluster.local 10.0.0.1:9001*1 10.0.0.3:9001*1",
        ]
    );
    let timeouts: Vec<_> = conversion
        .model
        .clusters
        .values()
        .take(3)
        .map(|cluster| (cluster.connect_timeout, cluster.idle_timeout))
        .collect();
    let seconds = Duration::from_secs;
    assert_eq!(
        timeouts,
        [(seconds(2), seconds(60)), (seconds(2), seconds(60)), (seconds(3), seconds(30))]
    );
}

#[test]
fn a_short_name_is_one_of_the_rules_own_namespace() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}]
";
    let text = route("r", "*", "[{route: [{destination: {host: reviews, subset: v1}}]}]");
    let conversion =
        convert(&[("1.yaml", GATEWAY), ("2.yaml", SERVICE), ("3.yaml", rule), ("4.yaml", &text)]);
    assert_eq!(
        problems(&conversion),
        [
            "3.yaml:7:13: warning[PC0307] DestinationRule/shop/reviews spec.subsets[0].labels: the subset `v1` is empty: an EndpointSlice has no pod labels to select by; write the service as a ServiceEntry whose endpoints have labels, or leave the labels out",
            "4.yaml:7:40: warning[PC0307] VirtualService/shop/r spec.http[0].route[0].destination.host: `outbound|80|v1|reviews.shop.svc.cluster.local` has no endpoints; requests to it are answered with 503",
        ]
    );
}

#[test]
fn what_a_destination_lacks_is_said() {
    let lacks = |destination: &str| {
        let text = route("r", "*", &format!("[{{route: [{{destination: {destination}}}]}}]"));
        let conversion = convert(&[("1.yaml", GATEWAY), ("2.yaml", REVIEWS), ("4.yaml", &text)]);
        let destinations = conversion.model.listeners[0].virtual_hosts[0].rules[0].clone();
        assert!(matches!(destinations.action, portcullis_model::Action::Forward { .. }));
        let problem = only_problem(&conversion);
        let (_, said) = problem.split_once("4.yaml:7:40: warning[").unwrap();
        said.split(';').next().unwrap().to_owned()
    };
    assert_eq!(
        lacks("{host: reviews}"),
        "PC0304] VirtualService/shop/r spec.http[0].route[0].destination.host: there is no service `reviews.shop.svc.cluster.local`"
    );
    assert_eq!(
        lacks("{host: reviews.example.com, subset: v9}"),
        "PC0305] VirtualService/shop/r spec.http[0].route[0].destination.subset: `reviews.example.com` has no subset `v9`"
    );
    assert_eq!(
        lacks("{host: reviews.example.com, port: {number: 81}}"),
        "PC0306] VirtualService/shop/r spec.http[0].route[0].destination.port: `reviews.example.com` has no port 81"
    );
}

#[test]
fn a_resolution_that_is_not_served_has_no_endpoints() {
    let text = REVIEWS.replace("STATIC", "DNS").replace("10.0.0.1", "one.example.com");
    let conversion = convert(&[("r.yaml", &text)]);
    assert!(only_problem(&conversion).starts_with("r.yaml:8:15: warning[PC0211] ServiceEntry/shop/reviews spec.resolution: the resolution DNS is known, but not served yet"));
    assert_eq!(clusters(&conversion), ["outbound|80||reviews.example.com "]);
}

#[test]
fn two_entries_of_one_host_and_port_are_reported() {
    let other = REVIEWS.replace("name: reviews,", "name: other,");
    let conversion = convert(&[("1.yaml", REVIEWS), ("2.yaml", &other)]);
    assert!(
        only_problem(&conversion).contains("warning[PC0313] ServiceEntry/shop/other spec.hosts[0]")
    );
}
