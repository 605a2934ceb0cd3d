//! Gateway API: what of its objects becomes listeners and rules, and what their status says.

mod backend_certificates;
mod bad_values;
mod listeners;
mod parents;
mod rules;
mod secrets;
mod status;

use super::{Conversion, convert, problems, rendered};
use crate::status::ObjectStatus;

/// A Gateway of the namespace `edge` with these listeners, each in flow style.
fn gateway(listeners: &[&str]) -> String {
    gateway_with("", listeners)
}

/// The same with more in its spec.
fn gateway_with(more: &str, listeners: &[&str]) -> String {
    let listeners: String = listeners.iter().map(|each| format!("  - {{{each}}}\n")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge, generation: 3}}\nspec:\n  gatewayClassName: portcullis\n{more}  listeners:\n{listeners}"
    )
}

/// A listener for every host on port 80 that takes routes of every namespace.
const OPEN: &str = "name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}";

/// An HTTPRoute of the namespace `shop` on the Gateway with these rules, in flow style.
fn http_route(name: &str, hostnames: &str, rules: &str) -> String {
    attached(name, "[{name: gw, namespace: edge}]", hostnames, rules)
}

/// The same with other parents.
fn attached(name: &str, parents: &str, hostnames: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: shop, generation: 7}}\nspec:\n  parentRefs: {parents}\n  hostnames: [{hostnames}]\n  rules: {rules}\n"
    )
}

/// Services `v1` and `v2` of the namespace `shop`, with an endpoint each.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: v1, namespace: shop}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: v1, namespace: shop, labels: {kubernetes.io/service-name: v1}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: v2, namespace: shop}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: v2, namespace: shop, labels: {kubernetes.io/service-name: v2}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.2]}]
";

/// Converts these documents together with the Services.
fn converted(documents: &[String]) -> Conversion {
    let text = documents.join("---\n");
    convert(&[("a.yaml", &text), ("services.yaml", SERVICES)])
}

fn status<'c>(conversion: &'c Conversion, object: &str) -> &'c ObjectStatus {
    let mut all = conversion.status.iter();
    all.find(|status| status.object == object).unwrap_or_else(|| {
        let known: Vec<&str> = conversion.status.iter().map(|each| &*each.object).collect();
        panic!("{object} has no status; there are {known:?}")
    })
}

/// `Type=Status(Reason)` for each condition of a listener.
fn listener_conditions(conversion: &Conversion, object: &str, listener: &str) -> String {
    let listeners = &status(conversion, object).listeners;
    let found = listeners.iter().find(|each| each.name == listener).unwrap();
    shown(&found.conditions)
}

/// The same for the first parent of a route.
fn route_conditions(conversion: &Conversion, object: &str) -> String {
    shown(&status(conversion, object).parents[0].conditions)
}

fn shown(conditions: &[crate::status::Condition]) -> String {
    let each = conditions.iter().map(|condition| match condition.status {
        "True" => format!("{}({})", condition.kind, condition.reason),
        _ => format!("!{}({})", condition.kind, condition.reason),
    });
    each.collect::<Vec<_>>().join(" ")
}
