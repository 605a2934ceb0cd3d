//! Services to clusters, and destinations that are not there.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::{Cluster, Readiness, UpstreamTls};

use super::{GATEWAY, REVIEWS, convert, only_problem, problems, route};

fn clusters(conversion: &super::Conversion) -> Vec<String> {
    let clusters = conversion.model.clusters.values().map(|cluster| {
        let endpoints = cluster.endpoints.iter().map(|endpoint| {
            let readiness = match endpoint.readiness {
                Readiness::Ready => String::new(),
                other => format!(" {other:?}"),
            };
            format!("{}*{}{readiness}", endpoint.address, endpoint.weight)
        });
        let endpoints: Vec<_> = endpoints.collect();
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
            "outbound|80||reviews.shop.svc.cluster.local 10.0.0.1:8080*1 10.0.0.2:8080*1 NotReady 10.0.0.3:8080*1",
            "outbound|9000||reviews.shop.svc.cluster.local 10.0.0.1:9001*1 10.0.0.2:9001*1 NotReady 10.0.0.3:9001*1",
        ]
    );
    let timeouts: Vec<_> = conversion
        .model
        .clusters
        .values()
        .take(3)
        .map(|cluster| (cluster.pool.connect_timeout, cluster.pool.idle_timeout))
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
    let text = REVIEWS.replace("STATIC", "NONE");
    let text = text.split("  endpoints:").next().unwrap();
    let conversion = convert(&[("r.yaml", text)]);
    assert!(only_problem(&conversion).starts_with("r.yaml:8:15: warning[PC0211] ServiceEntry/shop/reviews spec.resolution: the resolution NONE sends requests where the client meant to go"));
    assert_eq!(clusters(&conversion), ["outbound|80||reviews.example.com "]);
}

/// Which clusters of `REVIEWS` are reached in plain text under a DestinationRule with this policy.
fn served_under(rules: &[&str]) -> (Vec<String>, Vec<String>) {
    let rule = |(number, spec): (usize, &&str)| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r{number}, namespace: shop}}\nspec:\n  {spec}\n"
        )
    };
    let rules: Vec<String> = rules.iter().enumerate().map(rule).collect();
    let conversion = convert(&[("r.yaml", REVIEWS), ("d.yaml", &rules.join("---\n"))]);
    let plain = |cluster: &&Arc<Cluster>| cluster.tls == UpstreamTls::Plain;
    let served = conversion.model.clusters.values().filter(plain);
    let served = served.map(|cluster| cluster.name.to_string()).collect();
    (served, problems(&conversion))
}

#[test]
fn the_narrowest_policy_decides_on_tls() {
    let all = ["outbound|80||reviews.example.com", "outbound|80|v1|reviews.example.com"];
    let (whole, subset) = (&all[..1], &all[1..]);
    let host = "host: reviews.example.com";
    let served =
        |rules: &[String]| served_under(&rules.iter().map(String::as_str).collect::<Vec<_>>()).0;
    let policy = |tls: &str| format!("  trafficPolicy: {{tls: {{mode: {tls}}}}}");
    let subsets = |own: &str| format!("  subsets: [{{name: v1, labels: {{version: v1}}{own}}}]");
    let rule = |tls: &str, own: &str| format!("{host}\n{}\n{}", policy(tls), subsets(own));
    let own = |tls: &str| format!(", trafficPolicy: {{tls: {{mode: {tls}}}}}");
    assert_eq!(served(&[rule("DISABLE", "")]), all);
    assert_eq!(served(&[rule("SIMPLE", "")]), [""; 0]);
    assert_eq!(served(&[rule("SIMPLE", &own("DISABLE"))]), subset);
    assert_eq!(served(&[rule("DISABLE", &own("ISTIO_MUTUAL"))]), whole);
    let port = |top: &str, number: u16, tls: &str| {
        format!(
            "{host}\n  trafficPolicy: {{tls: {{mode: {top}}}, portLevelSettings: [{{port: {{number: {number}}}{tls}}}]}}"
        )
    };
    assert_eq!(served(&[port("DISABLE", 80, ", tls: {mode: SIMPLE}")]), [""; 0]);
    assert_eq!(served(&[port("DISABLE", 81, ", tls: {mode: SIMPLE}")]), whole);
    assert_eq!(served(&[port("SIMPLE", 80, ", tls: {mode: DISABLE}")]), whole);
    assert_eq!(served(&[port("SIMPLE", 80, "")]), [""; 0]);
    // Beside the rule of the very host, one of a wildcard counts only where that says nothing.
    let wide = format!("host: '*.example.com'\n{}", policy("ISTIO_MUTUAL"));
    assert_eq!(served(&[wide.clone(), rule("DISABLE", "")]), all);
    assert_eq!(served(&[wide, format!("{host}\n{}", subsets(""))]), [""; 0]);
}

#[test]
fn tls_that_cannot_be_read_is_no_plain_text_either() {
    for (tls, code) in [
        ("{sni: a}", "PC0211"),
        ("{mode: SIMPEL}", "PC0210"),
        ("{mode: SIMPLE, snu: a}", "PC0206"),
        ("{mode: [SIMPLE]}", "PC0208"),
        ("7", "PC0208"),
    ] {
        let rule = format!("host: reviews.example.com\n  trafficPolicy: {{tls: {tls}}}");
        let (served, said) = served_under(&[&rule]);
        assert!(served.is_empty(), "{tls}");
        assert!(said.iter().any(|said| said.contains(&format!("error[{code}]"))), "{said:#?}");
    }
}

#[test]
fn two_entries_of_one_host_and_port_are_reported() {
    let other = REVIEWS.replace("name: reviews,", "name: other,");
    let conversion = convert(&[("1.yaml", REVIEWS), ("2.yaml", &other)]);
    assert!(
        only_problem(&conversion).contains("warning[PC0313] ServiceEntry/shop/other spec.hosts[0]")
    );
}

#[test]
fn a_rule_for_no_service_has_no_effect() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: lost, namespace: shop}\nspec: {host: nowhere}\n";
    let conversion = convert(&[("a.yaml", &format!("{GATEWAY}{rule}"))]);
    let problem = only_problem(&conversion);
    assert!(problem.contains("warning[PC0314] DestinationRule/shop/lost spec.host: "), "{problem}");
}
