//! What is served, but looked at twice: hosts without a certificate, prefixes that mean more than elsewhere.

use super::{GATEWAY, convert, only_problem, problems, route};

const ALL: &str = "[{directResponse: {status: 200}}]";

/// An HTTPS server for these hosts with a certificate for `a.example.com` and `*.wild.example`.
fn secure(hosts: &str) -> String {
    let names = ["a.example.com".to_owned(), "*.wild.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let lines = |text: &str| text.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\nspec:\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    hosts: {hosts}\n    tls: {{mode: SIMPLE, credentialName: cert}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: edge}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        lines(&chain),
        lines(&key)
    )
}

#[test]
fn a_host_that_no_certificate_is_for_is_said_at_its_server() {
    let said = |hosts: &str, routed: &[&str]| {
        let routes: Vec<String> = routed
            .iter()
            .enumerate()
            .map(|(number, host)| route(&format!("r{number}"), host, ALL))
            .collect();
        problems(&convert(&[("gw.yaml", &secure(hosts)), ("r.yaml", &routes.join("---\n"))]))
    };
    assert_eq!(said("[a.example.com, b.wild.example, '*.wild.example']", &[]), [""; 0]);
    assert_eq!(said("['*']", &["a.example.com", "B.Wild.example", "*"]), [""; 0]);
    assert_eq!(
        said("[a.example.com, b.example.com]", &[]),
        [
            "gw.yaml:6:5: warning[PC0319] Gateway/edge/gw spec.servers[0].hosts: no certificate of this server is for `b.example.com`; clients will refuse it: put a certificate with the name, or its wildcard, into the Secret, or correct the host"
        ]
    );
    let all = ["a.example.com", "e.test", "d.test", "c.wild.example", "c.b.wild.example", "f.test"];
    let found = said("['*']", &all);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("is for `c.b.wild.example`, `d.test`, `e.test` and 1 more;"),
        "{found:#?}"
    );
}

/// An Ingress on the host `a.example.com` with one path.
fn ingress(kind: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: i, namespace: shop}}\nspec: {{rules: [{{host: a.example.com, http: {{paths: [{{path: /shop, pathType: {kind}, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{ports: [{{port: 80, name: http}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints: [{{addresses: [10.0.0.1]}}]\n"
    )
}

#[test]
fn a_raw_prefix_beside_segments_is_said_once() {
    let rules = "[{match: [{uri: {prefix: /api}}], directResponse: {status: 200}}, {match: [{uri: {prefix: /v2}}], directResponse: {status: 200}}]";
    let raw = route("raw", "a.example.com", rules);
    let files = |raw: &str, ingress: &str| {
        convert(&[("gw.yaml", GATEWAY), ("i.yaml", ingress), ("v.yaml", raw)])
    };
    let problem = only_problem(&files(&raw, &ingress("Prefix")));
    assert!(
        problem.starts_with("v.yaml:7:19: warning[PC0327] VirtualService/shop/raw spec.http[0]: `/api` takes `/apibar` too, while Ingress/shop/i/a.example.com/shop at i.yaml:"),
        "{problem}"
    );
    assert_eq!(problems(&files(&raw, &ingress("Exact"))), [""; 0]);
    let slashes = raw.replace("/api}", "/api/}").replace("/v2}", "/v2/}");
    assert_eq!(problems(&files(&slashes, &ingress("Prefix"))), [""; 0]);
    let elsewhere = raw.replace("a.example.com", "b.example.com");
    assert_eq!(problems(&files(&elsewhere, &ingress("Prefix"))), [""; 0]);
}
