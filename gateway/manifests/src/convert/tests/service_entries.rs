//! ServiceEntries and WorkloadEntries to clusters.

use portcullis_model::{Discovery, UpstreamProtocol};

use super::upstreams::cluster;
use super::{Conversion, GATEWAY, convert, only_problem, problems, route};

/// A ServiceEntry with this spec, in flow style, on the fourth line of `e.yaml`.
fn entry(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

fn with(spec: &str) -> Conversion {
    convert(&[("e.yaml", &entry(spec))])
}

const PORTS: &str = "ports: [{number: 80, name: http, protocol: HTTP}]";

/// The endpoints of the only cluster, as `address*weight`, and how they are found.
fn found(conversion: &Conversion) -> (Discovery, Vec<String>) {
    assert_eq!(problems(conversion), [""; 0]);
    let cluster = conversion.model.clusters.values().next().unwrap();
    let endpoints = cluster.endpoints.iter();
    (cluster.discovery, endpoints.map(|each| format!("{}*{}", each.address, each.weight)).collect())
}

#[test]
fn every_resolution_is_read() {
    let of = |more: &str| found(&with(&format!("hosts: [A.example.com], {PORTS}, {more}")));
    let text = |list: &[&str]| list.iter().map(|each| (*each).to_owned()).collect::<Vec<_>>();
    let (discovery, endpoints) =
        of("resolution: STATIC, endpoints: [{address: 10.0.0.1}, {address: '::1', weight: 2}]");
    assert_eq!(discovery, Discovery::Static);
    assert_eq!(endpoints, text(&["10.0.0.1:80*1", "[::1]:80*2"]));
    assert_eq!(of("resolution: DNS"), (Discovery::Dns, text(&["a.example.com:80*1"])));
    let (discovery, endpoints) = of(
        "resolution: DNS, endpoints: [{address: One.example.com., ports: {http: 8080}}, {address: two.example.com, weight: 3}]",
    );
    assert_eq!(discovery, Discovery::Dns);
    assert_eq!(endpoints, text(&["one.example.com:8080*1", "two.example.com:80*3"]));
    let round_robin = (Discovery::DnsRoundRobin, text(&["a.example.com:80*1"]));
    assert_eq!(of("resolution: DNS_ROUND_ROBIN"), round_robin);
    let any = found(&with(&format!("hosts: ['*.example.com'], {PORTS}, resolution: DYNAMIC_DNS")));
    assert_eq!(any, (Discovery::DynamicDns, text(&[])));
}

#[test]
fn a_target_port_is_where_endpoints_listen_and_a_name_is_looked_up() {
    let ports = "ports: [{number: 80, name: http, targetPort: 8080}]";
    let of = |more: &str| found(&with(&format!("hosts: [a.example.com], {ports}, {more}"))).1;
    assert_eq!(of("resolution: DNS"), ["a.example.com:8080*1"]);
    assert_eq!(of("resolution: STATIC, endpoints: [{address: 10.0.0.1}]"), ["10.0.0.1:8080*1"]);
}

#[test]
fn dynamic_dns_has_no_endpoints_and_can_be_routed_to() {
    let text = route("r", "*", "[{route: [{destination: {host: '*.example.com'}}]}]");
    let entry = entry(&format!("hosts: ['*.example.com'], {PORTS}, resolution: DYNAMIC_DNS"));
    let conversion = convert(&[("1.yaml", GATEWAY), ("2.yaml", &entry), ("3.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
}

#[test]
fn a_port_says_what_is_spoken() {
    for (word, protocol) in [
        ("HTTP", UpstreamProtocol::Http1),
        ("http", UpstreamProtocol::Http1),
        ("HTTP2", UpstreamProtocol::Http2),
        ("gRPC", UpstreamProtocol::Http2),
        ("GRPC-Web", UpstreamProtocol::Http2),
        ("HTTPS", UpstreamProtocol::Tcp),
        ("TLS", UpstreamProtocol::Tcp),
        ("tcp", UpstreamProtocol::Tcp),
        ("Mongo", UpstreamProtocol::Tcp),
    ] {
        let conversion = with(&format!(
            "hosts: [a.example.com], ports: [{{number: 80, name: x, protocol: {word}}}], resolution: DNS"
        ));
        assert_eq!(cluster(&conversion, "outbound|80||a.example.com").protocol, protocol, "{word}");
    }
}

#[test]
fn what_an_endpoint_says_of_itself_is_kept() {
    let conversion = with(&format!(
        "hosts: [a.example.com], {PORTS}, location: MESH_EXTERNAL, addresses: [10.1.0.0/16, '::1'], resolution: STATIC, subjectAltNames: ['spiffe://td/ns/shop/sa/a', b.example.com], endpoints: [{{address: 10.0.0.1, locality: eu/eu-a/rack, network: n1, labels: {{version: v1}}, serviceAccount: a}}]"
    ));
    assert_eq!(problems(&conversion), [""; 0]);
    let cluster = cluster(&conversion, "outbound|80||a.example.com");
    let names: Vec<_> = cluster.subject_alt_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["spiffe://td/ns/shop/sa/a", "b.example.com"]);
    let endpoint = &cluster.endpoints[0];
    assert_eq!(endpoint.locality.as_ref().unwrap().to_string(), "eu/eu-a/rack");
    let labels: Vec<_> = endpoint.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        labels,
        [
            "version=v1",
            "topology.kubernetes.io/region=eu",
            "topology.kubernetes.io/zone=eu-a",
            "topology.istio.io/subzone=rack",
            "topology.istio.io/network=n1",
        ]
    );
}

const WORKLOADS: &str = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: one, namespace: shop, labels: {app: a}}
spec: {address: 10.0.0.1, ports: {http: 8080}, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: two, namespace: shop}
spec: {address: 10.0.0.2, labels: {app: b}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: three, namespace: other}
spec: {address: 10.0.0.3, labels: {app: a}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: four, namespace: shop}
spec: {address: four.example.com, labels: {app: a}}
";

#[test]
fn a_workload_selector_picks_workload_entries_of_its_namespace() {
    let of = |resolution: &str| {
        let text = entry(&format!(
            "hosts: [a.example.com], {PORTS}, resolution: {resolution}, workloadSelector: {{labels: {{app: a}}}}"
        ));
        let conversion = convert(&[("e.yaml", &text), ("w.yaml", WORKLOADS)]);
        let cluster = cluster(&conversion, "outbound|80||a.example.com");
        let endpoints: Vec<_> =
            cluster.endpoints.iter().map(|each| each.address.to_string()).collect();
        (endpoints, problems(&conversion))
    };
    let (endpoints, said) = of("STATIC");
    assert_eq!(endpoints, ["10.0.0.1:8080"]);
    assert!(said.len() == 1 && said[0].contains("w.yaml:20:17: error[PC0210] WorkloadEntry/shop/four spec.address: `four.example.com` is no IP address"), "{said:#?}");
    let (endpoints, said) = of("DNS");
    assert_eq!(endpoints, ["10.0.0.1:8080", "four.example.com:80"]);
    assert_eq!(said, [""; 0]);
}

/// Each spec has one problem: this one, at this field below `spec`.
fn each_is_said(table: &[(String, &str, &str)]) {
    for (spec, said, field) in table {
        let problem = only_problem(&with(spec));
        let field = if field.is_empty() { "spec".to_owned() } else { format!("spec.{field}") };
        let wanted = format!("{said} ServiceEntry/shop/e {field}: ");
        assert!(problem.starts_with("e.yaml:4:") && problem.contains(&wanted), "{spec}: {problem}");
    }
}

#[test]
fn every_wrong_service_entry_is_said_at_its_place() {
    let (bad, missing, both) = ("error[PC0210]", "error[PC0209]", "error[PC0212]");
    let a = "hosts: [a.example.com]";
    each_is_said(&[
        (format!("hosts: ['*'], {PORTS}, resolution: STATIC"), bad, "hosts[0]"),
        (format!("hosts: ['a b'], {PORTS}, resolution: STATIC"), bad, "hosts[0]"),
        (format!("{PORTS}, resolution: STATIC"), missing, "hosts"),
        (format!("{a}, resolution: STATIC"), missing, "ports"),
        (format!("hosts: ['*.a.com'], {PORTS}, resolution: DNS"), bad, "hosts[0]"),
        (format!("{a}, {PORTS}, resolution: STATC"), bad, "resolution"),
        (format!("{a}, {PORTS}, resolution: NONE"), "warning[PC0211]", "resolution"),
        (format!("{a}, {PORTS}"), "warning[PC0211]", ""),
        (
            format!(
                "{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1}}], workloadSelector: {{labels: {{}}}}"
            ),
            both,
            "",
        ),
        (format!("{a}, {PORTS}, resolution: DNS, location: HERE"), bad, "location"),
        (format!("{a}, {PORTS}, resolution: DNS, addresses: [10.0.0.1/33]"), bad, "addresses[0]"),
        (format!("{a}, {PORTS}, resolution: DNS, addresses: [10.0.0.0/8]"), bad, "addresses[0]"),
        (format!("{a}, {PORTS}, resolution: DNS, addresses: [here]"), bad, "addresses[0]"),
        (
            format!("{a}, {PORTS}, resolution: DNS, subjectAltNames: ['']"),
            bad,
            "subjectAltNames[0]",
        ),
        (
            format!("{a}, ports: [{{number: 80, name: a, protocol: SPDY}}], resolution: DNS"),
            bad,
            "ports[0].protocol",
        ),
        (
            format!("{a}, ports: [{{number: 80, name: a, protocol: UDP}}], resolution: DNS"),
            "warning[PC0211]",
            "ports[0].protocol",
        ),
        (format!("{a}, ports: [{{number: 0, name: a}}], resolution: DNS"), bad, "ports[0].number"),
        (
            format!(
                "{a}, ports: [{{number: 1, name: a}}, {{number: 1, name: b}}], resolution: DNS"
            ),
            bad,
            "ports[1]",
        ),
        (
            format!(
                "{a}, ports: [{{number: 1, name: a}}, {{number: 2, name: a}}], resolution: DNS"
            ),
            bad,
            "ports[1]",
        ),
    ]);
}

#[test]
fn every_wrong_endpoint_is_said_at_its_place() {
    let (bad, missing, unserved) = ("error[PC0210]", "error[PC0209]", "error[PC0211]");
    let a = "hosts: [a.example.com]";
    each_is_said(&[
        (
            format!(
                "hosts: ['*.a.com'], {PORTS}, resolution: DYNAMIC_DNS, endpoints: [{{address: b.com}}]"
            ),
            bad,
            "endpoints",
        ),
        (
            format!(
                "{a}, {PORTS}, resolution: DNS_ROUND_ROBIN, endpoints: [{{address: b.com}}, {{address: c.com}}]"
            ),
            bad,
            "endpoints",
        ),
        (
            format!("{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: b.com}}]"),
            bad,
            "endpoints[0].address",
        ),
        (
            format!("{a}, {PORTS}, resolution: DNS, endpoints: [{{address: 10.0.0.1}}]"),
            "warning[PC0217]",
            "endpoints[0]",
        ),
        (
            format!("{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 'unix:///tmp/s'}}]"),
            unserved,
            "endpoints[0].address",
        ),
        (
            format!("{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: '10.0.0.1:80'}}]"),
            bad,
            "endpoints[0].address",
        ),
        (
            format!("{a}, {PORTS}, resolution: STATIC, endpoints: [{{network: n1}}]"),
            missing,
            "endpoints[0].address",
        ),
        (
            format!(
                "{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, ports: {{web: 80}}}}]"
            ),
            bad,
            "endpoints[0]",
        ),
        (
            format!(
                "{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, ports: {{http: 0}}}}]"
            ),
            bad,
            "endpoints[0].ports.http",
        ),
        (
            format!(
                "{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, weight: -1}}]"
            ),
            bad,
            "endpoints[0].weight",
        ),
        (
            format!(
                "{a}, {PORTS}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, locality: a/b/c/d}}]"
            ),
            bad,
            "endpoints[0].locality",
        ),
    ]);
}

#[test]
fn an_entry_for_others_is_no_service() {
    let of = |export: &str| {
        let text =
            entry(&format!("hosts: [a.example.com], {PORTS}, resolution: DNS, exportTo: {export}"));
        let conversion = convert(&[("1.yaml", GATEWAY), ("e.yaml", &text)]);
        (conversion.model.clusters.len(), problems(&conversion))
    };
    assert_eq!(of("['*']"), (1, Vec::new()));
    assert_eq!(of("[edge]"), (1, Vec::new()));
    let (clusters, said) = of("['.']");
    assert_eq!(clusters, 0);
    assert!(
        said[0].contains("e.yaml:4:")
            && said[0].contains("warning[PC0217] ServiceEntry/shop/e spec.exportTo: "),
        "{said:#?}"
    );
}
