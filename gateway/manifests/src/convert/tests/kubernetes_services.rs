//! Services and EndpointSlices to clusters.

use portcullis_model::{Discovery, LocalityBalancing, Readiness, UpstreamProtocol};

use super::upstreams::cluster;
use super::{Conversion, GATEWAY, convert, only_problem, problems};

/// A Service with this spec, in flow style, and its metadata.
fn service_of(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: shop{metadata}}}\nspec: {{{spec}}}\n"
    )
}

fn service(spec: &str) -> String {
    service_of("", spec)
}

/// A slice of it with these endpoints.
fn slice(name: &str, family: &str, endpoints: &str) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: a}}}}\naddressType: {family}\nports: [{{name: http, port: 8080}}]\nendpoints: [{endpoints}]\n"
    )
}

const PORT: &str = "ports: [{name: http, port: 80, targetPort: web}]";
const NAME: &str = "outbound|80||a.shop.svc.cluster.local";

fn with(service: &str, slices: &[String]) -> Conversion {
    convert(&[("s.yaml", service), ("e.yaml", &slices.concat())])
}

fn addresses(conversion: &Conversion) -> Vec<String> {
    assert_eq!(problems(conversion), [""; 0]);
    cluster(conversion, NAME).endpoints.iter().map(|each| each.address.to_string()).collect()
}

#[test]
fn readiness_is_what_the_conditions_say() {
    for (conditions, wanted) in [
        ("{}", Readiness::Ready),
        ("{ready: true}", Readiness::Ready),
        ("{ready: null, serving: false}", Readiness::Ready),
        ("{ready: false}", Readiness::NotReady),
        ("{ready: false, serving: true}", Readiness::NotReady),
        ("{ready: false, serving: true, terminating: true}", Readiness::Draining),
        ("{ready: false, serving: false, terminating: true}", Readiness::NotReady),
        ("{ready: false, terminating: true}", Readiness::NotReady),
    ] {
        let endpoint = format!("{{addresses: [10.0.0.1], conditions: {conditions}}}");
        let of = |spec: &str| {
            let conversion = with(&service(spec), &[slice("s", "IPv4", &endpoint)]);
            cluster(&conversion, NAME).endpoints[0].readiness
        };
        assert_eq!(of(PORT), wanted, "{conditions}");
        let published = format!("{PORT}, publishNotReadyAddresses: true");
        assert_eq!(of(&published), Readiness::Ready, "{conditions}");
    }
}

#[test]
fn an_endpoint_in_two_slices_is_as_ready_as_the_better_one_says() {
    let [gone, ready] = ["false", "true"]
        .map(|ready| format!("{{addresses: [10.0.0.1], conditions: {{ready: {ready}}}}}"));
    let slices = [slice("a", "IPv4", &gone), slice("b", "IPv4", &ready)];
    let conversion = with(&service(PORT), &slices);
    let cluster = cluster(&conversion, NAME);
    assert_eq!(cluster.endpoints.len(), 1);
    assert_eq!(cluster.endpoints[0].readiness, Readiness::Ready);
}

#[test]
fn zone_and_node_say_where_an_endpoint_runs() {
    let endpoint = "{addresses: [10.0.0.1], zone: eu-a, nodeName: n1, hints: {forZones: [{name: eu-a}]}}, {addresses: [10.0.0.2], deprecatedTopology: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-b}}, {addresses: [10.0.0.3]}";
    let conversion = with(&service(PORT), &[slice("s", "IPv4", endpoint)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let cluster = cluster(&conversion, NAME);
    let locality = |index: usize| cluster.endpoints[index].locality.as_deref().cloned();
    let [first, second] = [0, 1].map(|index| locality(index).unwrap());
    assert_eq!((&*first.region, &*first.zone), ("", "eu-a"));
    assert_eq!((&*second.region, &*second.zone), ("eu", "eu-b"));
    assert_eq!(locality(2), None);
    let labels: Vec<_> =
        cluster.endpoints[0].labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["topology.kubernetes.io/zone=eu-a", "kubernetes.io/hostname=n1"]);
}

#[test]
fn of_two_families_the_first_that_has_endpoints_serves() {
    let v4 = slice("four", "IPv4", "{addresses: [10.0.0.1]}");
    let v6 = slice("six", "IPv6", "{addresses: ['fd00::1']}");
    let of = |families: &str, slices: &[String]| {
        addresses(&with(&service(&format!("{PORT}{families}")), slices))
    };
    let both = [v4.clone(), v6.clone()];
    assert_eq!(of("", &both), ["10.0.0.1:8080", "[fd00::1]:8080"]);
    assert_eq!(of(", ipFamilies: [IPv4, IPv6]", &both), ["10.0.0.1:8080"]);
    assert_eq!(of(", ipFamilies: [IPv6, IPv4]", &both), ["[fd00::1]:8080"]);
    assert_eq!(of(", ipFamilies: [IPv6, IPv4]", &[v4]), ["10.0.0.1:8080"]);
    assert_eq!(of(", ipFamilies: [IPv6]", &[v6]), ["[fd00::1]:8080"]);
}

#[test]
fn a_headless_service_has_its_endpoints_all_the_same() {
    let text = service(&format!("{PORT}, clusterIP: None, selector: {{app: a}}"));
    let conversion = with(&text, &[slice("s", "IPv4", "{addresses: [10.0.0.1]}")]);
    assert_eq!(addresses(&conversion), ["10.0.0.1:8080"]);
}

#[test]
fn an_external_name_is_looked_up() {
    let text = service(
        "type: ExternalName, externalName: Shop.example.com., ports: [{port: 80, targetPort: 9}]",
    );
    let conversion = with(&text, &[]);
    assert_eq!(addresses(&conversion), ["shop.example.com:80"]);
    assert_eq!(cluster(&conversion, NAME).discovery, Discovery::Dns);
    let text = service("type: ExternalName, externalName: 10.0.0.9, ports: [{port: 80}]");
    let conversion = with(&text, &[]);
    assert_eq!(addresses(&conversion), ["10.0.0.9:80"]);
    assert_eq!(cluster(&conversion, NAME).discovery, Discovery::Static);
}

#[test]
fn a_ports_name_or_app_protocol_says_what_is_spoken() {
    let of = |port: &str| {
        let conversion = with(&service(&format!("ports: [{{port: 80, {port}}}]")), &[]);
        cluster(&conversion, NAME).protocol
    };
    assert_eq!(of("name: http2-web"), UpstreamProtocol::Http2);
    assert_eq!(of("name: grpc"), UpstreamProtocol::Http2);
    assert_eq!(of("name: http-web"), UpstreamProtocol::Http1);
    assert_eq!(of("name: tcp-db"), UpstreamProtocol::Tcp);
    assert_eq!(of("name: web"), UpstreamProtocol::Http1);
    assert_eq!(of("name: web, appProtocol: kubernetes.io/h2c"), UpstreamProtocol::Http2);
    assert_eq!(of("name: grpc, appProtocol: http"), UpstreamProtocol::Http1);
}

#[test]
fn traffic_distribution_prefers_the_nearest() {
    let of = |word: &str| {
        let text = service(&format!("{PORT}, trafficDistribution: {word}"));
        let conversion = with(&text, &[]);
        assert_eq!(problems(&conversion), [""; 0]);
        cluster(&conversion, NAME).balancing.locality.clone()
    };
    for word in ["PreferClose", "PreferSameZone", "PreferSameNode"] {
        assert_eq!(of(word), Some(LocalityBalancing::Failover([].into())));
    }
}

#[test]
fn every_wrong_service_is_said_at_its_place() {
    let bad = "error[PC0210]";
    for (spec, said, field) in [
        ("ports: [{port: 0}]", bad, "ports[0].port"),
        ("ports: [{name: a}]", "error[PC0209]", "ports[0].port"),
        ("ports: [{port: 80, targetPort: 70000}]", bad, "ports[0].targetPort"),
        ("type: ExternalName, ports: [{port: 80}]", "error[PC0209]", "externalName"),
        ("type: ExternalName, externalName: 'a b', ports: [{port: 80}]", bad, "externalName"),
        ("ports: [{port: 80}], ipFamilies: [IPv5]", bad, "ipFamilies[0]"),
        ("ports: [{port: 80}], trafficDistribution: PreferFar", bad, "trafficDistribution"),
        (
            "ports: [{port: 80}], internalTrafficPolicy: Local",
            "warning[PC0211]",
            "internalTrafficPolicy",
        ),
        ("ports: [{port: 80}], internalTrafficPolicy: Near", bad, "internalTrafficPolicy"),
        (
            "ports: [{port: 80}], publishNotReadyAddresses: 1",
            "error[PC0208]",
            "publishNotReadyAddresses",
        ),
        ("ports: [{port: 80}], selectr: {}", "error[PC0206]", "selectr"),
    ] {
        let problem = only_problem(&with(&service(spec), &[]));
        let wanted = format!("{said} Service/shop/a spec.{field}: ");
        assert!(problem.starts_with("s.yaml:4:") && problem.contains(&wanted), "{spec}: {problem}");
    }
}

#[test]
fn every_wrong_slice_is_said_at_its_place() {
    for (family, endpoints, said, line) in [
        (
            "IPv4",
            "{addresses: [here]}",
            "error[PC0210] EndpointSlice/shop/s endpoints[0].addresses[0]: ",
            7,
        ),
        (
            "IPv4",
            "{addresses: ['::1']}",
            "error[PC0210] EndpointSlice/shop/s endpoints[0].addresses[0]: ",
            7,
        ),
        (
            "IPv6",
            "{addresses: [10.0.0.1]}",
            "error[PC0210] EndpointSlice/shop/s endpoints[0].addresses[0]: ",
            7,
        ),
        ("IPv4", "{}", "error[PC0209] EndpointSlice/shop/s endpoints[0].addresses: ", 7),
        (
            "IPv4",
            "{addresses: [10.0.0.1], conditions: {ready: 1}}",
            "error[PC0208] EndpointSlice/shop/s endpoints[0].conditions.ready: ",
            7,
        ),
        (
            "IPv4",
            "{addresses: [10.0.0.1], zones: a}",
            "error[PC0206] EndpointSlice/shop/s endpoints[0].zones: ",
            7,
        ),
        ("IPX", "", "error[PC0210] EndpointSlice/shop/s addressType: ", 5),
        (
            "FQDN",
            "{addresses: [a.example.com]}",
            "warning[PC0211] EndpointSlice/shop/s addressType: ",
            5,
        ),
    ] {
        let problem = only_problem(&with(&service(PORT), &[slice("s", family, endpoints)]));
        assert!(
            problem.starts_with(&format!("e.yaml:{line}:")) && problem.contains(said),
            "{problem}"
        );
    }
}

#[test]
fn a_service_for_others_is_no_service() {
    let of = |export: &str| {
        let text = service_of(
            &format!(", annotations: {{networking.istio.io/exportTo: '{export}'}}"),
            PORT,
        );
        let conversion = convert(&[("1.yaml", GATEWAY), ("s.yaml", &text)]);
        (conversion.model.clusters.len(), problems(&conversion).len())
    };
    assert_eq!(of("*"), (1, 0));
    assert_eq!(of("other, edge"), (1, 0));
    assert_eq!(of("."), (0, 1));
    assert_eq!(of("~"), (0, 1));
}
