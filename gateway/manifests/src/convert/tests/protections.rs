//! Policies that cannot be used: what they cover is refused.

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
fn a_broken_policy_refuses_what_it_covers_and_says_so() {
    let plugin = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: w, namespace: edge}\nspec: {url: builtin:telemetry, phase: AUTHN, priority: 9}\n";
    let text = policy("AuthorizationPolicy", "istio-system", "{rules: [{frmo: []}]}");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text), ("w.yaml", plugin)]);
    assert_eq!(
        problems(&conversion),
        [
            "p.yaml:1:1: error[PC0205] AuthorizationPolicy/istio-system/p: the AuthorizationPolicy cannot be used, so every request to edge/gw is refused with 503; mend what else is reported of it; if it is meant for other workloads, give it a `selector` with their labels and the Gateway its own",
            "p.yaml:4:17: error[PC0206] AuthorizationPolicy/istio-system/p spec.rules[0].frmo: a rule has no field `frmo`; did you mean `from`?; until then the requests that it covers are refused"
        ]
    );
    assert_eq!(chains(&conversion), [["AuthorizationPolicy/istio-system/p", "WasmPlugin/edge/w"]]);
    let refusal = conversion.model.plugins.values().next().unwrap();
    assert_eq!(refusal.id.to_string(), "AuthorizationPolicy/istio-system/p");
    assert_eq!((refusal.fail_strategy, refusal.phase), (FailStrategy::Close, Phase::Authn));
    assert!(matches!(refusal.module, PluginModule::Broken(_)));
    // It goes when the policy does.
    let without = [("gw.yaml", GATEWAY), ("w.yaml", plugin)];
    let conversion = convert_after(&without, &conversion.memory);
    assert_eq!(chains(&conversion), [["WasmPlugin/edge/w"]]);
    assert_eq!(problems(&conversion), [""; 0]);
}

#[test]
fn a_policy_covers_what_its_selector_targets_or_namespace_say() {
    let ours = "selector: {matchLabels: {istio: ingressgateway}}";
    let sidecars = "selector: {matchLabels: {app: reviews}}";
    let target = |kind: &str| format!("targetRefs: [{{kind: {kind}, name: gw}}]");
    let covered = |namespace: &str, spec: &str| {
        let broken = format!("{{{spec}{}action: NONE}}", if spec.is_empty() { "" } else { ", " });
        let refused = chain_with("AuthorizationPolicy", namespace, &broken);
        let text = policy("AuthorizationPolicy", namespace, &format!("{{{spec}}}"));
        let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
        let served = conversion.model.listeners[0].authorization.is_some();
        // One that is broken covers what it would cover if it were not.
        assert_eq!(served, refused.0.len() == 1, "{namespace} {spec}");
        assert_eq!(served, refused.1.contains(&"PC0205"), "{namespace} {spec}");
        let unattached = problems(&conversion).iter().any(|line| line.contains("[PC0350]"));
        assert_eq!(served, !unattached, "{namespace} {spec}");
        served
    };
    assert!(covered("edge", ""));
    assert!(covered("edge", "selector: {}"));
    assert!(covered("edge", "selector: {matchLabels: {}}, rules: [{}]"));
    assert!(covered("istio-system", "rules: []"));
    assert!(!covered("shop", ""));
    assert!(covered("istio-system", ours));
    assert!(covered("edge", ours));
    assert!(!covered("edge", sidecars));
    assert!(!covered("istio-system", sidecars));
    assert!(covered("edge", &target("Gateway")));
    assert!(!covered("shop", &target("Gateway")));
    assert!(!covered("edge", &target("Service")));
    assert!(!covered("istio-system", &target("GatewayClass")));
}

#[test]
fn a_policy_for_a_class_covers_its_gateways_from_the_root_namespace() {
    let class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: ours}\nspec: {controllerName: portcullis.dev/gateway-controller}\n---\n";
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: api, namespace: edge}\nspec:\n  gatewayClassName: ours\n  listeners: [{name: http, port: 80, protocol: HTTP}]\n";
    let objects = format!("{class}{gateway}");
    let covered = |namespace: &str, name: &str, spec: &str| {
        let target = format!(
            "targetRefs: [{{group: gateway.networking.k8s.io, kind: GatewayClass, name: {name}}}]"
        );
        let text = policy("AuthorizationPolicy", namespace, &format!("{{{target}{spec}}}"));
        let conversion = convert(&[("gw.yaml", &objects), ("p.yaml", &text)]);
        let listener = &conversion.model.listeners[0];
        (listener.authorization.is_some(), !listener.plugins.is_empty())
    };
    assert_eq!(covered("istio-system", "ours", ""), (true, false));
    assert_eq!(covered("istio-system", "ours", ", action: NONE"), (false, true));
    assert_eq!(covered("istio-system", "istio-waypoint", ""), (false, false));
    assert_eq!(covered("edge", "ours", ""), (false, false));
}

#[test]
fn a_gateway_without_a_selector_is_covered_by_any() {
    let gateway = GATEWAY.replace("  selector: {istio: ingressgateway}\n", "");
    let text = policy("AuthorizationPolicy", "edge", "{selector: {matchLabels: {app: reviews}}}");
    let conversion = convert(&[("gw.yaml", &gateway), ("p.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert!(conversion.model.listeners[0].authorization.is_some());
}

#[test]
fn what_would_refuse_nothing_refuses_nothing_when_it_is_broken() {
    let text = policy("AuthorizationPolicy", "edge", "{rules: [{form: []}]}")
        .replace("namespace: edge}", "namespace: edge, annotations: {istio.io/dry-run: 'true'}}");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    assert!(only_problem(&conversion).contains("error[PC0206]"));
    assert_eq!(chains(&conversion), [[""; 0]]);
    assert!(conversion.model.listeners[0].authorization.is_none());
    let audit = "{action: AUDIT, rules: [{form: []}]}";
    assert_eq!(chain_with("AuthorizationPolicy", "edge", audit).0.len(), 0);
}

#[test]
fn a_policy_that_cannot_be_read_refuses_too() {
    let none: [&str; 0] = [];
    let unclear = "{selector: {matchLabels: {a: 1}}}";
    for namespace in ["edge", "istio-system"] {
        assert_eq!(chain_with("AuthorizationPolicy", namespace, unclear).0.len(), 1);
        assert_eq!(chain_with("AuthorizationPolicy", namespace, "7").0.len(), 1);
    }
    // Whoever may not select a Gateway does not take it down either.
    assert_eq!(chain_with("AuthorizationPolicy", "shop", unclear).0, none);
    assert_eq!(chain_with("AuthorizationPolicy", "shop", "7").0, none);
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
    let spec = "{selector: {matchLabels: {istio: ingressgateway}}, action: NONE}";
    let text = policy("AuthorizationPolicy", "edge", spec);
    let conversion = convert(&[("1.yaml", &first), ("2.yaml", GATEWAY), ("p.yaml", &text)]);
    // The first listener of a host takes its requests, those for the other one's routes among them.
    assert_eq!(chains(&conversion).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    let apart = first.replace("hosts: ['*']", "hosts: [a.example.com]");
    let conversion = convert(&[("1.yaml", &apart), ("2.yaml", GATEWAY), ("p.yaml", &text)]);
    assert_eq!(chains(&conversion).iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
}
