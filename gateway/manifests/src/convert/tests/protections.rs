//! Policies that are not served yet: what they cover is refused.

use portcullis_model::{FailStrategy, Phase, PluginModule};

use super::{Conversion, GATEWAY, convert, convert_after, only_problem, problems};

fn policy(kind: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn chains(conversion: &Conversion) -> Vec<Vec<String>> {
    let listeners = conversion.model.listeners.iter();
    listeners.map(|each| each.plugins.iter().map(ToString::to_string).collect()).collect()
}

fn chain_with(kind: &str, namespace: &str, spec: &str) -> (Vec<String>, Vec<&'static str>) {
    let text = policy(kind, namespace, spec);
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    let codes = conversion.problems.iter().map(|problem| problem.code.0).collect();
    (chains(&conversion).remove(0), codes)
}

#[test]
fn a_policy_refuses_what_it_covers_and_says_so() {
    let plugin = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: w, namespace: edge}\nspec: {url: builtin:telemetry, phase: AUTHN, priority: 9}\n";
    let text = policy("RequestAuthentication", "istio-system", "{jwtRules: [{issuer: me}]}");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text), ("w.yaml", plugin)]);
    assert_eq!(
        only_problem(&conversion),
        "p.yaml:1:1: error[PC0205] RequestAuthentication/istio-system/p: the kind RequestAuthentication is known, but not served yet: every request to edge/gw is refused with 503; protect the Gateway with a WasmPlugin (`builtin:jwt-auth`) instead and take the object out of this configuration, or, if it is meant for other workloads, give it a `selector` with their labels and the Gateway its own"
    );
    assert_eq!(
        chains(&conversion),
        [["RequestAuthentication/istio-system/p", "WasmPlugin/edge/w"]]
    );
    let refusal = conversion.model.plugins.values().next().unwrap();
    assert_eq!(refusal.id.to_string(), "RequestAuthentication/istio-system/p");
    assert_eq!((refusal.fail_strategy, refusal.phase), (FailStrategy::Close, Phase::Authn));
    assert!(matches!(refusal.module, PluginModule::Broken(_)));
    // It goes when the policy does.
    let without = [("gw.yaml", GATEWAY), ("w.yaml", plugin)];
    let conversion = convert_after(&without, &conversion.last_good);
    assert_eq!(chains(&conversion), [["WasmPlugin/edge/w"]]);
    assert_eq!(problems(&conversion), [""; 0]);
}

#[test]
fn a_policy_covers_what_its_selector_targets_or_namespace_say() {
    let ours = "{selector: {matchLabels: {istio: ingressgateway}}}";
    let sidecars = "{selector: {matchLabels: {app: reviews}}}";
    let target = |kind: &str| format!("{{targetRefs: [{{kind: {kind}, name: gw}}]}}");
    let covered =
        |namespace: &str, spec: &str| match chain_with("AuthorizationPolicy", namespace, spec) {
            (chain, codes) if chain.len() == 1 && codes.contains(&"PC0205") => true,
            (chain, codes) => {
                assert!(chain.is_empty() && codes == ["PC0204"], "{chain:?} {codes:?}");
                false
            }
        };
    assert!(covered("edge", "{}"));
    assert!(covered("edge", "null"));
    assert!(covered("edge", "{selector: {}}"));
    assert!(covered("edge", "{selector: {matchLabels: {}}, rules: [{}]}"));
    assert!(covered("istio-system", "{action: DENY}"));
    assert!(!covered("shop", "{}"));
    assert!(covered("istio-system", ours));
    assert!(covered("edge", ours));
    assert!(!covered("edge", sidecars));
    assert!(!covered("istio-system", sidecars));
    assert!(covered("edge", &target("Gateway")));
    assert!(!covered("shop", &target("Gateway")));
    assert!(!covered("edge", &target("Service")));
    assert!(!covered("istio-system", &target("GatewayClass")));
    // Nothing is refused by what only looks on.
    assert!(!covered("edge", "{action: AUDIT}"));
}

#[test]
fn a_gateway_without_a_selector_is_covered_by_any() {
    let gateway = GATEWAY.replace("  selector: {istio: ingressgateway}\n", "");
    let text = policy("AuthorizationPolicy", "shop", "{selector: {matchLabels: {app: reviews}}}");
    let conversion = convert(&[("gw.yaml", &gateway), ("p.yaml", &text)]);
    assert!(only_problem(&conversion).contains("error[PC0205]"));
    assert_eq!(chains(&conversion), [["AuthorizationPolicy/shop/p"]]);
}

#[test]
fn a_dry_run_refuses_nothing() {
    let text = policy("AuthorizationPolicy", "edge", "{rules: []}")
        .replace("namespace: edge}", "namespace: edge, annotations: {istio.io/dry-run: 'true'}}");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    assert!(only_problem(&conversion).contains("warning[PC0204]"));
    assert_eq!(chains(&conversion), [[""; 0]]);
}

#[test]
fn a_policy_that_cannot_be_read_refuses_too() {
    let none: [&str; 0] = [];
    assert_eq!(
        chain_with("AuthorizationPolicy", "shop", "{selector: {matchLabels: {a: 1}}}").0.len(),
        1
    );
    assert_eq!(chain_with("AuthorizationPolicy", "shop", "7").0.len(), 1);
    assert_eq!(chain_with("AuthorizationPolicy", "edge", "{ruels: []}").0.len(), 1);
    // A kind that is misspelt, and one that does not parse.
    assert_eq!(chain_with("AuthorisationPolicy", "shop", "{}").0.len(), 1);
    assert_eq!(chain_with("RequestAuthentication", "shop", "{jwtRules: [").0.len(), 1);
    assert_eq!(chain_with("PeerAuthentication", "edge", "{}").0, none);
    let text = policy("AuthorizationPolicy", "shop", "{}").replace("/v1", "/v9");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    assert!(problems(&conversion)[0].contains("error[PC0202]"), "{:?}", problems(&conversion));
    assert_eq!(chains(&conversion), [["AuthorizationPolicy/shop/p"]]);
}

#[test]
fn where_two_gateways_share_a_host_neither_takes_the_other_out_of_its_cover() {
    let first = GATEWAY.replace("name: gw,", "name: first,").replace("ingressgateway", "other");
    let text =
        policy("AuthorizationPolicy", "x", "{selector: {matchLabels: {istio: ingressgateway}}}");
    let conversion = convert(&[("1.yaml", &first), ("2.yaml", GATEWAY), ("p.yaml", &text)]);
    // The first listener of a host takes its requests, those for the other one's routes among them.
    assert_eq!(chains(&conversion).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    let apart = first.replace("hosts: ['*']", "hosts: [a.example.com]");
    let conversion = convert(&[("1.yaml", &apart), ("2.yaml", GATEWAY), ("p.yaml", &text)]);
    assert_eq!(chains(&conversion).iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
}
