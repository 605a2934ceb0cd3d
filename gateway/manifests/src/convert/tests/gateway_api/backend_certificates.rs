//! The certificate that a Gateway shows to backends.

use portcullis_model::{Action, ClusterName, UpstreamTls};

use super::secrets::{authority, indented, secret};
use super::*;
use crate::convert::tests::convert_after;

/// The Gateway, which shows what this refers to.
fn showing(reference: &str) -> String {
    let more = format!("  tls: {{backend: {{clientCertificateRef: {{{reference}}}}}}}\n");
    gateway_with(&more, &[OPEN])
}

/// TLS to `v1`, by a ConfigMap.
fn over_tls() -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca, namespace: shop}}\ndata:\n  ca.crt: |\n{}---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: v1, namespace: shop}}\nspec:\n  \
         targetRefs: [{{group: '', kind: Service, name: v1}}]\n  \
         validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}], hostname: v1.internal}}\n",
        indented(&authority())
    )
}

/// A route that sends to both services and copies to `v1`.
fn route() -> String {
    const COPY: &str =
        "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 8080}}}]";
    const BOTH: &str = "backendRefs: [{name: v1, port: 8080}, {name: v2, port: 8080}]";
    http_route("r", "", &format!("[{{{COPY}, {BOTH}}}]"))
}

/// Where the only rule of the Gateway sends and copies to, as subsets of `v1`, `v2` and `v1`.
fn subsets(conversion: &Conversion, listener: usize) -> [String; 3] {
    let rule = &conversion.model.listeners[listener].virtual_hosts[0].rules[0];
    let Action::Forward { destinations, .. } = &rule.action else { panic!("{:?}", rule.action) };
    let subset = |name: &ClusterName| name.subset.to_string();
    [
        subset(&destinations[0].cluster),
        subset(&destinations[1].cluster),
        subset(&rule.mirrors[0].cluster),
    ]
}

fn tls<'c>(conversion: &'c Conversion, host: &str, subset: &str) -> &'c UpstreamTls {
    let is_meant = |name: &ClusterName| name.host.starts_with(host) && *name.subset == *subset;
    &conversion.model.clusters.iter().find(|(name, _)| is_meant(name)).unwrap().1.tls
}

fn shows(conversion: &Conversion, subset: &str) -> bool {
    match tls(conversion, "v1.", subset) {
        UpstreamTls::Client(tls) => tls.credential.is_some(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn backends_over_tls_are_shown_the_gateways_own_certificate() {
    let other = gateway(&[&OPEN.replace("80", "81")]).replace("name: gw", "name: other");
    let parents = "[{name: gw, namespace: edge}, {name: other, namespace: edge}]";
    let route = route().replace("[{name: gw, namespace: edge}]", parents);
    let documents = [showing("name: one"), other, secret("one", "edge"), over_tls(), route];
    let conversion = converted(&documents);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(subsets(&conversion, 0), ["@edge/gw", "", "@edge/gw"]);
    assert_eq!(subsets(&conversion, 1), ["", "", ""], "the other Gateway has none");
    assert!(shows(&conversion, "@edge/gw") && !shows(&conversion, ""));
    assert_eq!(conversion.model.clusters.len(), 3, "what is in plain text is shown nothing");
    assert_eq!(
        conversion.model.clusters.values().map(|cluster| cluster.endpoints.len()).sum::<usize>(),
        3
    );
}

#[test]
fn what_a_destination_rule_shows_comes_before() {
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: v1, namespace: shop}\nspec: {host: v1, trafficPolicy: {tls: {mode: MUTUAL, credentialName: own, insecureSkipVerify: true}}}\n";
    let documents = [
        showing("name: one"),
        secret("one", "edge"),
        secret("own", "shop"),
        rule.to_owned(),
        route(),
    ];
    let conversion = converted(&documents);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(subsets(&conversion, 0), ["", "", ""]);
    assert!(shows(&conversion, ""));
}

#[test]
fn a_certificate_for_backends_that_cannot_be_had_refuses_requests_over_tls() {
    let of = |reference: &str, with: &str| {
        let conversion = converted(&[showing(reference), with.to_owned(), over_tls(), route()]);
        let has = tls(&conversion, "v1.", "@edge/gw").clone();
        let problem = problems(&conversion).join("\n");
        (has, problem, shown(&status(&conversion, "Gateway/edge/gw").conditions))
    };
    let accepted = "Accepted(Accepted) Programmed(Programmed)";
    let (near, far) = (secret("one", "edge"), secret("one", "far"));
    let place = "Gateway/edge/gw spec.tls.backend.clientCertificateRef";
    let (has, problem, conditions) = of("name: one", &near);
    assert!(matches!(has, UpstreamTls::Client(_)), "{has:?}");
    assert_eq!((&*problem, conditions), ("", format!("{accepted} ResolvedRefs(ResolvedRefs)")));
    for (reference, with, code, reason) in [
        ("name: two", &near, "error[PC0301] ", "InvalidClientCertificateRef"),
        ("kind: Pod, name: one", &near, "error[PC0210] ", "InvalidClientCertificateRef"),
        ("name: one, namespace: far", &far, "error[PC0345] ", "RefNotPermitted"),
    ] {
        let (has, problem, conditions) = of(reference, with);
        assert!(matches!(has, UpstreamTls::Broken(_)), "{reference}: {has:?}");
        assert!(problem.contains(&format!("{code}{place}")), "{problem}");
        assert!(problem.contains("answered with 503") && !problem.contains('\n'), "{problem}");
        assert_eq!(conditions, format!("{accepted} !ResolvedRefs({reason})"));
    }
}

#[test]
fn a_certificate_for_backends_that_goes_away_is_shown_on() {
    let over_tls = over_tls();
    let documents = |with: &str| {
        [showing("name: one"), with.to_owned(), over_tls.clone(), route(), SERVICES.to_owned()]
            .join("---\n")
    };
    let good = convert(&[("a.yaml", &documents(&secret("one", "edge")))]);
    let broken = secret("one", "edge").replace("BEGIN CERTIFICATE", "BEGIN NOTHING");
    let conversion = convert_after(&[("a.yaml", &documents(&broken))], &good.memory);
    assert!(shows(&conversion, "@edge/gw"));
    assert_eq!(tls(&conversion, "v1.", "@edge/gw"), tls(&good, "v1.", "@edge/gw"));
}
