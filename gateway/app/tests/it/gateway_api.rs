//! Gateway API from outside, case by case as its conformance suite has them; in the words of this repository.

mod backends;
mod filters;
mod listeners;
mod matching;
mod resilience;

use portcullis_testkit::manifests::{join, kubernetes_service};
use portcullis_testkit::{Client, Upstream};

use crate::gateway::Gateway;

/// A Gateway named `gw` with these listeners, YAML on one line each.
fn api_gateway(listeners: &[&str]) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: portcullis\n  listeners: [{}]\n",
        listeners.iter().map(|each| format!("{{{each}}}")).collect::<Vec<_>>().join(", ")
    )
}

/// The plain listener that most cases need.
const HTTP: &str = "name: http, port: 80, protocol: HTTP";

/// An HTTPRoute on the Gateway with these hostnames and rules, YAML on one line each.
fn http_route(name: &str, hostnames: &str, rules: &[&str]) -> String {
    route_on(name, "{name: gw}", hostnames, rules)
}

/// The same on another parent.
fn route_on(name: &str, parent: &str, hostnames: &str, rules: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().map(|each| format!("{{{each}}}")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{parent}]\n  hostnames: [{hostnames}]\n  rules: [{}]\n",
        rules.join(", ")
    )
}

/// A gateway with the services `v1`, `v2` and `v3` behind it, and an empty one.
struct Estate {
    gateway: Gateway,
    client: Client,
    upstreams: [Upstream; 3],
}

impl Estate {
    /// With these Gateways and routes.
    async fn open(documents: &[String]) -> Estate {
        let upstreams = ["v1", "v2", "v3"].map(Upstream::start);
        let mut all = documents.to_vec();
        all.extend(upstreams.iter().map(service));
        all.push(
            "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {ports: [{port: 80}]}\n"
                .to_owned(),
        );
        let gateway = Gateway::start(&join(&all)).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        Estate { gateway, client, upstreams }
    }

    /// With one route of these rules.
    async fn with_rules(rules: &[&str]) -> Estate {
        Estate::open(&[api_gateway(&[HTTP]), http_route("r", "", rules)]).await
    }
}

fn service(upstream: &Upstream) -> String {
    kubernetes_service(upstream.name(), 80, upstream.address())
}

const TO_V1: &str = "backendRefs: [{name: v1, port: 80}]";
const TO_V2: &str = "backendRefs: [{name: v2, port: 80}]";
const TO_V3: &str = "backendRefs: [{name: v3, port: 80}]";
