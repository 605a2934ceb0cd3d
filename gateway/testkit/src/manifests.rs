//! Manifests as text, so that a test shows only what it is about.
//!
//! Every function returns one document; [`join`] makes a file of several. Namespaces are left out, so all
//! objects are in `default`.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::certificates::Certificates;

/// A file of several documents.
pub fn join(documents: &[String]) -> String {
    documents.join("---\n")
}

/// A `Gateway` with one plain HTTP server, named `http`.
pub fn http_gateway(name: &str, port: u16, hosts: &[&str]) -> String {
    gateway(name, &[http_server("http", port, hosts)])
}

/// A `Gateway` of these servers; see [`http_server`] and [`https_server`].
pub fn gateway(name: &str, servers: &[String]) -> String {
    format!(
        "{}spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n{}",
        head("networking.istio.io/v1", "Gateway", name),
        indent(&servers.concat(), 2)
    )
}

/// One plain server of a Gateway.
pub fn http_server(name: &str, port: u16, hosts: &[&str]) -> String {
    format!("- port: {{number: {port}, name: {name}, protocol: HTTP}}\n  hosts: {}\n", list(hosts))
}

/// One server of a Gateway that ends TLS with a Secret's certificate.
pub fn https_server(name: &str, port: u16, hosts: &[&str], secret: &str) -> String {
    format!(
        "- port: {{number: {port}, name: {name}, protocol: HTTPS}}\n  hosts: {}\n  \
         tls: {{mode: SIMPLE, credentialName: {secret}}}\n",
        list(hosts)
    )
}

/// A `VirtualService` on one Gateway. `rules` is the list under `http`, written as YAML from the first
/// column; see [`route_to`] for the simplest.
pub fn virtual_service(name: &str, gateway: &str, hosts: &[&str], rules: &str) -> String {
    format!(
        "{}spec:\n  gateways: [{gateway}]\n  hosts: {}\n  http:\n{}",
        head("networking.istio.io/v1", "VirtualService", name),
        list(hosts),
        indent(rules, 2)
    )
}

/// One server of a Gateway of another protocol than HTTP. `fields` is YAML on one line, such as
/// `tls: {mode: PASSTHROUGH}`, or nothing.
pub fn server(name: &str, port: u16, protocol: &str, hosts: &[&str], fields: &str) -> String {
    let fields = if fields.is_empty() { String::new() } else { format!("  {fields}\n") };
    format!(
        "- port: {{number: {port}, name: {name}, protocol: {protocol}}}\n  hosts: {}\n{fields}",
        list(hosts)
    )
}

/// A `VirtualService` for connections. `rules` is all of `tls` and `tcp`, written as YAML from the first column.
pub fn tcp_service(name: &str, gateway: &str, hosts: &[&str], rules: &str) -> String {
    format!(
        "{}spec:\n  gateways: [{gateway}]\n  hosts: {}\n{}",
        head("networking.istio.io/v1", "VirtualService", name),
        list(hosts),
        indent(rules, 2)
    )
}

/// A rule that sends everything to one service.
pub fn route_to(host: &str, port: u16) -> String {
    format!("- route:\n  - destination: {{host: {host}, port: {{number: {port}}}}}\n")
}

/// A `ServiceEntry` with fixed endpoints.
pub fn service_entry(name: &str, host: &str, port: u16, endpoints: &[SocketAddr]) -> String {
    let unlabelled: Vec<_> = endpoints.iter().map(|address| (*address, "")).collect();
    service_entry_with_labels(name, host, port, &unlabelled)
}

/// A Kubernetes `Service` with one port, named `http`, and an `EndpointSlice` with one endpoint.
pub fn kubernetes_service(name: &str, port: u16, endpoint: SocketAddr) -> String {
    let slice = head("discovery.k8s.io/v1", "EndpointSlice", &format!("{name}-1"));
    format!(
        "{}spec: {{ports: [{{port: {port}, name: http}}]}}\n---\n{slice}  labels: {{kubernetes.io/service-name: {name}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {}}}]\nendpoints: [{{addresses: [\"{}\"]}}]\n",
        head("v1", "Service", name),
        endpoint.port(),
        endpoint.ip()
    )
}

/// A `ServiceEntry` whose endpoints carry labels for subsets, written as `version: v1` (empty for none).
pub fn service_entry_with_labels(
    name: &str,
    host: &str,
    port: u16,
    endpoints: &[(SocketAddr, &str)],
) -> String {
    let endpoints: String = endpoints
        .iter()
        .map(|(address, labels)| {
            format!(
                "- {{address: \"{}\", ports: {{http: {}}}, labels: {{{labels}}}}}\n",
                address.ip(),
                address.port()
            )
        })
        .collect();
    format!(
        "{}spec:\n  hosts: [{host}]\n  ports:\n  - {{number: {port}, name: http, protocol: HTTP}}\n  \
         location: MESH_INTERNAL\n  resolution: STATIC\n  endpoints:\n{}",
        head("networking.istio.io/v1", "ServiceEntry", name),
        indent(&endpoints, 2)
    )
}

/// A `DestinationRule` with subsets by the label `version`, each named as its value.
pub fn subsets_by_version(name: &str, host: &str, versions: &[&str]) -> String {
    let subsets: String = versions
        .iter()
        .map(|version| format!("  - {{name: {version}, labels: {{version: {version}}}}}\n"))
        .collect();
    format!(
        "{}spec:\n  host: {host}\n  subsets:\n{subsets}",
        head("networking.istio.io/v1", "DestinationRule", name)
    )
}

/// A `Secret` of type `kubernetes.io/tls`.
pub fn tls_secret(name: &str, certificates: &Certificates) -> String {
    tls_secret_of(name, &certificates.chain_pem, &certificates.key_pem)
}

/// A server's certificate and key as entries of a `Secret`, with others beside them.
pub fn tls_secret_with(name: &str, own: &Certificates, more: &[(&str, &str)]) -> String {
    let mut entries = vec![("tls.crt", own.chain_pem.as_str()), ("tls.key", &own.key_pem)];
    entries.extend_from_slice(more);
    secret(name, &entries)
}

/// The same as [`tls_secret`] from PEM texts, which need not fit together.
pub fn tls_secret_of(name: &str, chain_pem: &str, key_pem: &str) -> String {
    format!(
        "{}type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        head("v1", "Secret", name),
        indent(chain_pem, 4),
        indent(key_pem, 4)
    )
}

/// One server of a Gateway that ends TLS as the fields of its `tls` say, written in flow style.
pub fn tls_server(name: &str, port: u16, hosts: &[&str], tls: &str) -> String {
    format!(
        "- port: {{number: {port}, name: {name}, protocol: HTTPS}}\n  hosts: {}\n  tls: {{{tls}}}\n",
        list(hosts)
    )
}

/// A `Secret` of any entries; values as they are, such as PEM.
pub fn secret(name: &str, entries: &[(&str, &str)]) -> String {
    let entry = |(key, value): &(&str, &str)| format!("  {key}: {}\n", STANDARD.encode(value));
    let entries: String = entries.iter().map(entry).collect();
    format!("{}data:\n{entries}", head("v1", "Secret", name))
}

/// A `WasmPlugin` on every Gateway. `fields` is YAML from the first column, such as `phase: AUTHN` or a
/// whole `pluginConfig:`.
pub fn wasm_plugin(name: &str, url: &str, fields: &str) -> String {
    format!(
        "{}spec:\n  url: \"{url}\"\n{}",
        head("extensions.istio.io/v1alpha1", "WasmPlugin", name),
        indent(fields, 2)
    )
}

/// An `EdgePolicy` with this `spec`, YAML on one line.
pub fn edge_policy(name: &str, spec: &str) -> String {
    format!("{}spec: {spec}\n", head("portcullis.dev/v1", "EdgePolicy", name))
}

/// An `AuthorizationPolicy` for all Gateways of its namespace, with this `spec`, YAML on one line.
pub fn authorization_policy(name: &str, spec: &str) -> String {
    format!("{}spec: {spec}\n", head("security.istio.io/v1", "AuthorizationPolicy", name))
}

fn head(api_version: &str, kind: &str, name: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n")
}

fn list(items: &[&str]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Each line of a text set in; ends with a line feed unless it is empty.
fn indent(text: &str, by: usize) -> String {
    let padding = " ".repeat(by);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{padding}{line}\n") })
        .collect()
}

/// A `RequestAuthentication` for all Gateways of its namespace. `rules` is the list under `jwtRules`, written as YAML from
/// the first column.
pub fn request_authentication(name: &str, rules: &str) -> String {
    format!(
        "{}spec:\n  jwtRules:\n{}",
        head("security.istio.io/v1", "RequestAuthentication", name),
        indent(rules, 2)
    )
}
