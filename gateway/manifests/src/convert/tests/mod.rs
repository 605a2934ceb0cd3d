//! Drafts to models and problems, as users meet them.

mod authorization_policies;
mod backend_tls;
mod bad_input;
mod balancing;
mod bounds;
mod carry_over;
mod delegates;
mod edge_filters;
mod edge_policies;
mod gateway_api;
mod gateway_tls;
mod gateways;
mod grpc_routes;
mod health_checks;
mod ingress;
mod kubernetes_services;
mod mistakes;
mod plugin_attachment;
mod plugin_supply;
mod plugins;
mod protections;
mod quarantine;
mod reach;
mod request_authentications;
mod retries;
mod route_order;
mod route_warnings;
mod routing;
mod service_entries;
mod services;
mod stream_routes;
mod tcp;
mod telemetries;
mod traffic_policies;
mod upstream_tls;
mod upstreams;
mod virtual_services;

use std::fmt::Write;

use portcullis_message::HeadRules;
use portcullis_model::{Action, Listener, Model, PathMatch, Rule};

use super::{Conversion, into_model};
use crate::Memory;
use crate::draft::{Draft, SourceFile};

/// The Gateway that most tests need.
pub(super) const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
";

/// A service with two labelled endpoints.
pub(super) const REVIEWS: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1}, ports: {http: 8080}}
  - {address: 10.0.0.2, labels: {version: v2}, weight: 3}
";

pub(super) fn convert_after(files: &[(&str, &str)], memory: &Memory) -> Conversion {
    let files = files.iter().map(|(path, text)| SourceFile {
        path: (*path).into(),
        directory: "/etc/portcullis".into(),
        text: (*text).into(),
    });
    into_model(&Draft::read(files.collect()), memory, HeadRules::default())
}

pub(super) fn convert(files: &[(&str, &str)]) -> Conversion {
    convert_after(files, &Memory::default())
}

/// A VirtualService on `edge/gw` with this `http`, written in flow style or indented by two.
pub(super) fn route(name: &str, host: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  hosts: ['{host}']\n  gateways: [edge/gw]\n  http: {http}\n"
    )
}

pub(super) fn problems(conversion: &Conversion) -> Vec<String> {
    conversion.problems.iter().map(ToString::to_string).collect()
}

/// The only problem.
pub(super) fn only_problem(conversion: &Conversion) -> String {
    let problems = problems(conversion);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

/// The listeners and their rules in a form to compare.
pub(super) fn rendered(model: &Model) -> String {
    let mut text = String::new();
    for listener in &model.listeners {
        write_listener(&mut text, listener);
    }
    text
}

fn write_listener(text: &mut String, listener: &Listener) {
    let Listener { gateway, server, port, protocol, .. } = listener;
    let _ = writeln!(text, "{gateway} {server} {port} {}", protocol.as_str());
    for host in &listener.virtual_hosts {
        let _ = writeln!(text, "  {}", host.host);
        for rule in &host.rules {
            let _ = writeln!(text, "    {}{}", rule.id, paths(rule));
            if let Action::Forward { destinations, .. } = &rule.action {
                for destination in destinations {
                    let _ = writeln!(text, "      {}% {}", destination.weight, destination.cluster);
                }
            }
        }
    }
}

fn paths(rule: &Rule) -> String {
    let path = |condition: &portcullis_model::RequestMatch| match &condition.path {
        Some(PathMatch::Exact(path)) => format!(" ={path}"),
        Some(PathMatch::Prefix(path)) => format!(" {path}*"),
        Some(PathMatch::Segments(path)) => format!(" {path}/*"),
        Some(PathMatch::Pattern(pattern)) => format!(" ~{pattern}"),
        None => " *".to_owned(),
    };
    rule.matches.iter().map(path).collect()
}
