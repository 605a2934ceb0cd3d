//! What plugins are attached to: servers, ports, VirtualServices, rules; and as what they are written.

use portcullis_model::{FailStrategy, Phase, PluginModule, PluginProtocol, Rule};

use super::{Conversion, GATEWAY, REVIEWS, convert, only_problem, problems, route};

/// A Gateway with two servers for requests and one for bytes.
const SERVERS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
  - port: {number: 8080, name: other, protocol: HTTP}
    hosts: ['*']
  - port: {number: 9000, name: tcp, protocol: TCP}
    hosts: ['*']
";

const RULES: &str = "\n  - name: cart\n    match: [{uri: {prefix: /cart}}]\n    route: [{destination: {host: reviews.example.com}}]\n  - route: [{destination: {host: reviews.example.com}}]";

fn plugin(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  url: builtin:telemetry\n{spec}"
    )
}

fn extension(spec: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {{name: x, namespace: edge}}\nspec:\n{spec}"
    )
}

/// The chains of all listeners, by plugin name.
fn chains(conversion: &Conversion) -> Vec<Vec<&str>> {
    let listeners = conversion.model.listeners.iter();
    listeners.map(|each| each.plugins.iter().map(|id| &*id.name).collect()).collect()
}

/// The rules of the first listener's only host, each with its plugins.
fn rules(conversion: &Conversion) -> Vec<String> {
    let rule = |rule: &std::sync::Arc<Rule>| {
        let plugins: Vec<&str> = rule.plugins.iter().map(|id| &*id.name).collect();
        format!("{}: {}", rule.id.rsplit('/').next().unwrap(), plugins.join(", "))
    };
    conversion.model.listeners[0].virtual_hosts[0].rules.iter().map(rule).collect()
}

fn on_route(specs: &[&str]) -> Conversion {
    let mut files = vec![
        ("gw.yaml".to_owned(), GATEWAY.to_owned()),
        ("r.yaml".to_owned(), REVIEWS.to_owned()),
        ("vs.yaml".to_owned(), route("shop", "*", RULES)),
    ];
    for (number, spec) in specs.iter().enumerate() {
        files.push((format!("{number}.yaml"), plugin(&format!("p{number}"), spec)));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    convert(&files)
}

#[test]
fn a_plugin_runs_on_the_servers_and_ports_that_it_names() {
    let on = |spec: &str| {
        let text = plugin("p", spec).replace("namespace: shop", "namespace: edge");
        let conversion = convert(&[("gw.yaml", SERVERS), ("p.yaml", &text)]);
        let lengths: Vec<usize> = chains(&conversion).iter().map(Vec::len).collect();
        let codes: Vec<_> = conversion.problems.iter().map(|problem| problem.code.0).collect();
        (lengths, codes)
    };
    let none: Vec<&str> = Vec::new();
    assert_eq!(on(""), (vec![1, 1, 0], none.clone()));
    assert_eq!(on("  type: NETWORK\n"), (vec![0, 0, 1], none.clone()));
    assert_eq!(on("  match: [{ports: [{number: 8080}]}]\n"), (vec![0, 1, 0], none.clone()));
    assert_eq!(
        on("  match: [{mode: CLIENT, ports: [{number: 80}, {number: 9000}]}]\n").0,
        [1, 0, 0]
    );
    assert_eq!(on("  match: [{mode: SERVER}]\n"), (vec![0, 0, 0], vec!["PC0211"]));
    assert_eq!(on("  match: [{ports: [{number: 81}]}]\n"), (vec![0, 0, 0], vec!["PC0312"]));
    let section = |name: &str| {
        on(&format!("  targetRefs: [{{kind: Gateway, name: gw, sectionName: {name}}}]\n"))
    };
    assert_eq!(section("other"), (vec![0, 1, 0], none));
    // A server that was renamed keeps what protects it.
    assert_eq!(section("gone"), (vec![1, 1, 0], vec!["PC0317"]));
    // What cannot be read stands in the way of requests and connections.
    assert_eq!(on("  type: UDP\n"), (vec![1, 1, 1], vec!["PC0210"]));
    assert_eq!(on("  match: [{ports: [{number: 0}]}]\n"), (vec![1, 1, 0], vec!["PC0210"]));
}

#[test]
fn a_network_filter_without_a_connection_to_filter_is_said() {
    let text = plugin("p", "  type: NETWORK\n").replace("shop", "edge");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    assert!(only_problem(&conversion).starts_with("p.yaml:1:1: warning[PC0312] WasmPlugin/edge/p spec: no server that it covers passes bytes on"));
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.protocol, PluginProtocol::Network);
}

#[test]
fn a_plugin_runs_on_a_virtual_service_or_one_of_its_rules() {
    let conversion = on_route(&[
        "  targetRefs: [{kind: VirtualService, name: shop}]\n",
        "  targetRef: {group: networking.istio.io, kind: VirtualService, name: shop, sectionName: cart}\n  phase: AUTHN\n",
        "  targetRefs: [{kind: VirtualService, name: shop}]\n  priority: 1\n",
    ]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(chains(&conversion), [[""; 0]]);
    assert_eq!(rules(&conversion), ["http[cart]: p1, p2, p0", "http[1]: p2, p0"]);
}

#[test]
fn a_rule_that_was_renamed_keeps_its_protection() {
    let conversion =
        on_route(&["  targetRefs: [{kind: VirtualService, name: shop, sectionName: crat}]\n"]);
    assert_eq!(
        only_problem(&conversion),
        "0.yaml:6:16: error[PC0317] WasmPlugin/shop/p0 spec.targetRefs[0].sectionName: VirtualService `shop` has no http rule `crat`; it has: cart; until then the plugin runs on all of its rules"
    );
    assert_eq!(rules(&conversion), ["http[cart]: p0", "http[1]: p0"]);
}

#[test]
fn targets_that_cannot_be_are_said_with_their_line() {
    let problem = |spec: &str| only_problem(&on_route(&[spec]));
    let missing = problem("  targetRefs: [{kind: VirtualService, name: shpo}]\n");
    assert!(missing.starts_with("0.yaml:6:16: error[PC0317] WasmPlugin/shop/p0 spec.targetRefs[0].name: there is no VirtualService `shop/shpo`"), "{missing}");
    let network = problem("  type: NETWORK\n  targetRefs: [{kind: VirtualService, name: shop}]\n");
    assert!(network.contains("0.yaml:7:16: error[PC0210]"), "{network}");
    let route = problem("  targetRefs: [{kind: HTTPRoute, name: shop}]\n");
    assert!(route.contains("0.yaml:6:16: error[PC0317]"), "{route}");
    let conversion = on_route(&["  targetRefs: [{kind: HTTPRoute, name: shop}]\n"]);
    assert_eq!(chains(&conversion), [[""; 0]]);
    assert_eq!(rules(&conversion), ["http[cart]: ", "http[1]: "]);
}

#[test]
fn a_traffic_extension_is_a_plugin() {
    let text = extension(
        "  selector: {matchLabels: {istio: ingressgateway}}\n  phase: STATS\n  priority: 3\n  match: [{mode: CLIENT}]\n  wasm: {url: 'builtin:telemetry', failStrategy: FAIL_OPEN, pluginName: root, pluginConfig: as it is, type: HTTP}\n",
    );
    let conversion = convert(&[("gw.yaml", GATEWAY), ("x.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(chains(&conversion), [["x"]]);
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.id.to_string(), "TrafficExtension/edge/x");
    assert_eq!(plugin.module, PluginModule::Builtin("telemetry".to_owned()));
    assert_eq!((plugin.phase, plugin.priority), (Phase::Stats, 3));
    assert_eq!((plugin.fail_strategy, &*plugin.root_id), (FailStrategy::Open, "root"));
    assert_eq!(plugin.configuration, "as it is");
    assert_eq!(plugin.origin.line, 9);
}

#[test]
fn a_traffic_extension_that_selects_nothing_is_for_its_namespace() {
    let text = extension("  wasm: {url: 'builtin:telemetry'}\n");
    let chain = |text: &str| {
        let conversion = convert(&[("gw.yaml", GATEWAY), ("x.yaml", text)]);
        assert_eq!(problems(&conversion), [""; 0]);
        chains(&conversion)[0].len()
    };
    assert_eq!(chain(&text), 1);
    assert_eq!(chain(&text.replace("namespace: edge", "namespace: shop")), 0);
    assert_eq!(chain(&text.replace("namespace: edge", "namespace: istio-system")), 1);
}

#[test]
fn what_is_wrong_in_a_traffic_extension_is_said() {
    let with = |spec: &str| {
        let conversion = convert(&[("gw.yaml", GATEWAY), ("x.yaml", &extension(spec))]);
        assert_eq!(chains(&conversion), [["x"]], "{spec}");
        let plugin = conversion.model.plugins.values().next().unwrap();
        assert!(matches!(plugin.module, PluginModule::Broken(_)));
        (only_problem(&conversion), plugin.fail_strategy)
    };
    let close = FailStrategy::Close;
    let (problem, strategy) = with("  phase: AUTHN\n");
    assert!(problem.contains("error[PC0209] TrafficExtension/edge/x spec.wasm"), "{problem}");
    assert_eq!(strategy, close);
    let (problem, strategy) = with("  lua: {inlineCode: x}\n");
    assert!(problem.contains("x.yaml:5:8: error[PC0211]"), "{problem}");
    assert_eq!(strategy, FailStrategy::Open);
    let (problem, strategy) = with("  wasm: {url: 'builtin:telemetry'}\n  lua: {inlineCode: x}\n");
    assert!(problem.contains("error[PC0212]"), "{problem}");
    assert_eq!(strategy, close);
    let (problem, _) = with("  wasm: {url: 'builtin:telemetry', phase: AUTHN}\n");
    assert!(problem.contains("error[PC0206]"), "{problem}");
    let (problem, _) = with("  wasm: {url: 'builtin:telemetry'}\n  phase: LAST\n");
    assert!(problem.contains("x.yaml:6:10: error[PC0210]"), "{problem}");
}
