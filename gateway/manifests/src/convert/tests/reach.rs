//! Whose policies and plugins count for a Gateway: namespaces, targets, shared hosts.

use portcullis_filters::Authorization;
use portcullis_message::HeadRules;

use super::{Conversion, GATEWAY, REVIEWS, only_problem, problems};
use crate::convert::{Joints, Premises, into_model_with};
use crate::draft::{Draft, SourceFile};
use crate::{CertificateFiles, Memory};

/// A configuration for a gateway in this namespace.
fn convert_in(namespace: Option<&str>, texts: &[&str]) -> Conversion {
    let file = |(number, text): (usize, &&str)| SourceFile {
        path: format!("{number}.yaml").into(),
        directory: "/etc/portcullis".into(),
        text: (*text).into(),
    };
    let draft = Draft::read(texts.iter().enumerate().map(file).collect());
    let files = CertificateFiles::none();
    let premises = Premises {
        head_rules: HeadRules::default(),
        joints: Joints::OneSlash,
        labels: &[],
        namespace,
        files: &files,
    };
    into_model_with(&draft, &Memory::default(), premises)
}

const LABELS: &str = "{selector: {matchLabels: {istio: ingressgateway}}, rules: [{}]}";

fn policy(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn plugin(namespace: &str, fields: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: w, namespace: {namespace}}}\nspec: {{url: 'builtin:telemetry'{fields}}}\n"
    )
}

/// Whether a policy of a namespace counts on `edge/gw` where the gateway runs in `home`.
fn counts(home: Option<&str>, namespace: &str, spec: &str) -> bool {
    let conversion = convert_in(home, &[GATEWAY, &policy(namespace, spec)]);
    let is_covered = conversion.model.listeners[0].authorization.is_some();
    assert_eq!(problems(&conversion).is_empty(), is_covered, "{:?}", problems(&conversion));
    is_covered
}

#[test]
fn a_selector_counts_from_the_gateways_namespace_and_the_root_alone() {
    for (home, namespace, expected) in [
        (None, "edge", true),
        (None, "istio-system", true),
        (None, "shop", false),
        (Some("infra"), "infra", true),
        (Some("infra"), "istio-system", true),
        (Some("infra"), "edge", false),
        (Some("infra"), "shop", false),
    ] {
        assert_eq!(counts(home, namespace, LABELS), expected, "{home:?} {namespace}");
    }
    // What selects nothing is for its namespace: that of the Gateway, and that of the gateway itself.
    for (home, namespace, expected) in [
        (None, "edge", true),
        (Some("infra"), "edge", true),
        (Some("infra"), "infra", true),
        (Some("infra"), "shop", false),
    ] {
        assert_eq!(counts(home, namespace, "{rules: [{}]}"), expected, "{home:?} {namespace}");
    }
}

#[test]
fn a_plugin_reaches_no_gateway_of_another_namespace() {
    let selector = ", selector: {matchLabels: {istio: ingressgateway}}";
    for fields in ["", selector] {
        let ran = |home, namespace| {
            let conversion = convert_in(home, &[GATEWAY, &plugin(namespace, fields)]);
            let runs = !conversion.model.listeners[0].plugins.is_empty();
            assert_eq!(problems(&conversion).is_empty(), runs, "{:?}", problems(&conversion));
            runs
        };
        assert!(ran(None, "edge") && ran(None, "istio-system") && ran(Some("infra"), "infra"));
        assert!(!ran(None, "shop") && !ran(Some("infra"), "shop"));
    }
}

#[test]
fn a_target_of_another_namespace_is_refused() {
    let target = "{targetRefs: [{group: networking.istio.io, kind: Gateway, name: gw, namespace: edge}], rules: [{}]}";
    let foreign = convert_in(None, &[GATEWAY, &policy("shop", target)]);
    assert!(only_problem(&foreign).contains("own namespace, `shop`"), "{:?}", problems(&foreign));
    assert!(foreign.model.listeners[0].authorization.is_none());
    assert!(foreign.model.listeners[0].plugins.is_empty());
    let own = convert_in(None, &[GATEWAY, &policy("edge", target)]);
    assert!(own.model.listeners[0].authorization.is_some());
    let target = ", targetRef: {kind: Gateway, name: gw, namespace: edge}";
    let foreign = convert_in(None, &[GATEWAY, &plugin("shop", target)]);
    assert!(foreign.model.listeners[0].plugins.is_empty(), "{:?}", problems(&foreign));
}

#[test]
fn who_shares_a_host_may_refuse_more_and_lets_nothing_more_pass() {
    let other = GATEWAY.replace("name: gw, namespace: edge", "name: other, namespace: shop");
    let ours = policy("edge", "{rules: [{to: [{operation: {paths: [/a]}}]}]}");
    let theirs = policy("shop", "{rules: [{}]}");
    let tokens = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: t, namespace: shop}\nspec: {jwtRules: [{issuer: x, jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}]}'}]}\n";
    let conversion = convert_in(None, &[GATEWAY, &other, &ours, &theirs, tokens]);
    let listener = &conversion.model.listeners[0];
    let authorization = listener.authorization.as_deref().unwrap();
    let written: Vec<_> = authorization.policies().cloned().collect();
    let each = written.iter().cloned().map(|policy| Authorization::new([policy]));
    assert_eq!(*authorization, each.fold(Authorization::default(), Authorization::and));
    assert_eq!(written.len(), 2);
    assert_ne!(*authorization, Authorization::new(written));
    assert!(listener.authentication.is_none());
    assert!(problems(&conversion).iter().any(|problem| problem.contains("no token is verified")));
    let own = theirs.replace("name: p, namespace: shop", "name: q, namespace: edge");
    let alone = convert_in(None, &[GATEWAY, &ours, &own, &other]);
    let authorization = alone.model.listeners[0].authorization.as_deref().unwrap();
    let written: Vec<_> = authorization.policies().cloned().collect();
    assert_eq!(*authorization, Authorization::new(written));
}

#[test]
fn a_limit_that_cannot_be_read_lets_nothing_pass() {
    let limited = |targets: &str, limit: &str| {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: e, namespace: edge}}\nspec: {{{targets}rateLimit: {limit}}}\n"
        );
        let conversion = convert_in(None, &[GATEWAY, &text]);
        let filters = conversion.model.listeners[0].filters.clone();
        let limit = filters.and_then(|filters| filters.rate_limit.clone());
        limit.flatten().map(|limit| (limit.requests, limit.burst, limit.status.as_u16()))
    };
    assert_eq!(limited("", "{requests: 5}"), Some((5, 5, 429)));
    assert_eq!(limited("", "{requests: many}"), Some((0, 0, 503)));
    assert_eq!(limited("targetRefs: [{kind: Gateway, name: gw}], ", "7"), Some((0, 0, 503)));
    assert_eq!(limited("targetRefs: [{kind: Gateway}], ", "{requests: 5}"), Some((0, 0, 503)));
    assert_eq!(limited("timeouts: {idle: soon}, ", "off"), None);
}

#[test]
fn a_destination_rules_selector_counts_from_the_gateways_namespace() {
    let rule = |namespace: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: {namespace}}}\nspec:\n  host: reviews.example.com\n  workloadSelector: {{matchLabels: {{istio: ingressgateway}}}}\n  trafficPolicy: {{connectionPool: {{http: {{http2MaxRequests: 7}}}}}}\n"
        )
    };
    for (home, namespace, counts) in [
        (None, "edge", true),
        (None, "infra", false),
        (Some("infra"), "infra", true),
        (Some("infra"), "edge", false),
        (Some("infra"), "istio-system", true),
    ] {
        let conversion = convert_in(home, &[GATEWAY, REVIEWS, &rule(namespace)]);
        let is_said =
            problems(&conversion).iter().any(|line| line.contains("spec.workloadSelector"));
        assert_eq!(is_said, !counts, "{home:?} {namespace}: {:?}", problems(&conversion));
    }
}

#[test]
fn of_policies_for_a_broken_gateway_nothing_is_said() {
    let broken = GATEWAY.replace("number: 80", "number: 0");
    let token = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: t, namespace: edge}\nspec: {jwtRules: [{issuer: a, jwksUri: 'https://a.example/keys'}]}\n";
    let texts = |gateway: &str| [gateway.to_owned(), policy("edge", LABELS), token.to_owned()];
    let said = |texts: &[String]| {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let problems = problems(&convert_in(None, &texts));
        problems.into_iter().filter(|line| line.contains("PC0350")).count()
    };
    assert_eq!(said(&texts(GATEWAY)), 0);
    assert_eq!(said(&texts(&broken)), 0);
    assert_eq!(said(&texts("")), 2);
}
