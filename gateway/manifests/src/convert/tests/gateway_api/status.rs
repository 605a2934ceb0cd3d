//! The status as data.

use super::*;

#[test]
fn every_condition_tells_which_generation_it_is_of() {
    let route = http_route("r", "shop.example.com", "[{backendRefs: [{name: v1, port: 8080}]}]");
    let addresses = "  addresses: [{value: 10.9.9.9}, {type: Hostname, value: gw.example.com}, {type: IPAddress}]\n";
    let conversion = converted(&[gateway_with(addresses, &[OPEN]), route]);
    assert_eq!(problems(&conversion), [""; 0]);
    let json = serde_json::to_value(&conversion.status).unwrap();
    let condition = |kind: &str, generation: i64| serde_json::json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation});
    let none = serde_json::json!({"type": "Conflicted", "status": "False", "reason": "NoConflicts", "message": "", "observedGeneration": 3});
    let kind = |kind: &str| serde_json::json!({"group": "gateway.networking.k8s.io", "kind": kind});
    assert_eq!(
        json,
        serde_json::json!([
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "object": "Gateway/edge/gw",
                "conditions": [condition("Accepted", 3), condition("Programmed", 3), condition("ResolvedRefs", 3)],
                "addresses": [{"type": "IPAddress", "value": "10.9.9.9"}, {"type": "Hostname", "value": "gw.example.com"}],
                "listeners": [{
                    "name": "http",
                    "supportedKinds": [kind("HTTPRoute"), kind("GRPCRoute")],
                    "attachedRoutes": 1,
                    "conditions": [condition("Accepted", 3), none, condition("ResolvedRefs", 3), condition("Programmed", 3)],
                }],
                "attachedListenerSets": 0,
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "object": "HTTPRoute/shop/r",
                "parents": [{
                    "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "gw"},
                    "controllerName": "portcullis.dev/gateway-controller",
                    "conditions": [condition("Accepted", 7), condition("ResolvedRefs", 7)],
                }],
            },
        ])
    );
}

#[test]
fn a_gateway_that_asks_for_what_is_not_there_is_not_served() {
    let cases = [
        ("  addresses: [{type: NamedAddress, value: x}]\n", "UnsupportedAddress", "PC0211"),
        (
            "  infrastructure: {parametersRef: {group: a.b, kind: C, name: d}}\n",
            "InvalidParameters",
            "PC0210",
        ),
    ];
    for (more, reason, code) in cases {
        let conversion = converted(&[gateway_with(more, &[OPEN])]);
        assert!(conversion.model.listeners.is_empty(), "{more}");
        let conditions = shown(&status(&conversion, "Gateway/edge/gw").conditions);
        assert!(
            conditions.starts_with(&format!("!Accepted({reason}) !Programmed(Invalid)")),
            "{conditions}"
        );
        assert!(problems(&conversion)[0].contains(code));
    }
}

#[test]
fn labels_of_the_infrastructure_select_a_gateway() {
    let plugin = |labels: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: p, namespace: edge}}\nspec: {{url: 'file:///x.wasm', selector: {{matchLabels: {{{labels}}}}}}}\n"
        )
    };
    let gateway = gateway_with("  infrastructure: {labels: {tier: edge}}\n", &[OPEN]);
    let runs = |labels: &str| {
        let conversion = converted(&[gateway.clone(), plugin(labels)]);
        !conversion.model.listeners[0].plugins.is_empty()
    };
    assert!(runs("tier: edge"));
    assert!(runs("gateway.networking.k8s.io/gateway-name: gw"));
    assert!(!runs("tier: inner"));
}
