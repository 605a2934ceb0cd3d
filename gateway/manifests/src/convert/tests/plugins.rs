//! Plugins: where they run, in which order, and how they fail.

use std::time::Duration;

use portcullis_model::{FailStrategy, HeadersPause, Phase, PluginModule, Strictness};

use super::{Conversion, GATEWAY, convert, convert_after, only_problem, problems};

fn plugin(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {name}, namespace: edge}}\nspec:\n  url: builtin:telemetry\n{spec}"
    )
}

fn chain(conversion: &Conversion) -> Vec<&str> {
    conversion.model.listeners[0].plugins.iter().map(|id| &*id.name).collect()
}

#[test]
fn every_served_field_reaches_the_model() {
    let text = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: auth
  namespace: edge
  annotations:
    example.com/other: skipped
    portcullis.dev/limits: memory=32Mi,callback=5ms,start=2s,request=20ms,share=50%,breaker=5/1s,recycle=9,recycle-memory=1Mi,sandboxes=7
    portcullis.dev/isolation: request
    portcullis.dev/on-headers-pause: head
    portcullis.dev/strict: envoy
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  url: ./plugins/auth.wasm
  sha256: 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef
  phase: AUTHN
  priority: 10
  failStrategy: FAIL_OPEN
  pluginName: root
  pluginConfig: {issuer: me, keys: [1, 2]}
  vmConfig: {env: [{name: A, value: b}]}
";
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.module, PluginModule::File("/etc/portcullis/plugins/auth.wasm".into()));
    assert!(plugin.sha256.as_ref().unwrap().starts_with("0123456789abcdef"));
    assert_eq!((plugin.phase, plugin.priority), (Phase::Authn, 10));
    assert_eq!(plugin.fail_strategy, FailStrategy::Open);
    assert_eq!(plugin.configuration, r#"{"issuer":"me","keys":[1,2]}"#);
    assert_eq!(plugin.environment, [("A".to_owned(), "b".to_owned())]);
    assert_eq!(plugin.root_id, "root");
    assert_eq!(plugin.limits.memory, 32 << 20);
    assert_eq!(plugin.limits.callback, Duration::from_millis(5));
    let other_host = plugin.compatibility;
    assert_eq!(other_host.headers_pause, HeadersPause::Head);
    assert_eq!(other_host.strictness, Strictness::Envoy);
    assert_eq!(plugin.origin.line, 15);
    assert_eq!(chain(&conversion), ["auth"]);
}

#[test]
fn a_plugin_is_not_shown_the_gateways_environment() {
    let fields = "  vmConfig: {env: [{name: AWS_SECRET_ACCESS_KEY, valueFrom: HOST}, {name: A, value: b}]}\n";
    let text = plugin("curious", fields);
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    let problems = problems(&conversion);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("PC0211"), "{problems:?}");
    assert!(problems[0].contains("not `AWS_SECRET_ACCESS_KEY`"), "{problems:?}");
    let curious = conversion.model.plugins.values().next().unwrap();
    assert!(matches!(curious.module, PluginModule::Broken(_)), "it never was good");
}

#[test]
fn the_chain_is_by_phase_then_priority_then_creation() {
    let files = [
        ("1.yaml", plugin("last", "")),
        ("2.yaml", plugin("stats", "  phase: STATS\n")),
        ("3.yaml", plugin("authn-low", "  phase: AUTHN\n  priority: -1\n")),
        ("4.yaml", plugin("authn-first", "  phase: AUTHN\n  priority: 5\n")),
        ("5.yaml", plugin("authn-second", "  phase: AUTHN\n  priority: 5\n")),
        ("gw.yaml", GATEWAY.to_owned()),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let conversion = convert(&files);
    assert_eq!(chain(&conversion), ["authn-first", "authn-second", "authn-low", "stats", "last"]);
}

#[test]
fn a_plugin_covers_what_its_selector_or_targets_say() {
    let covered = |spec: &str| {
        let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &plugin("p", spec))]);
        let codes: Vec<_> = conversion.problems.iter().map(|problem| problem.code.0).collect();
        (chain(&conversion).len(), codes)
    };
    assert_eq!(covered(""), (1, vec![]));
    assert_eq!(covered("  selector: {matchLabels: {istio: ingressgateway}}\n"), (1, vec![]));
    assert_eq!(covered("  selector: {matchLabels: {istio: other}}\n"), (0, vec!["PC0312"]));
    assert_eq!(
        covered("  targetRefs: [{group: networking.istio.io, kind: Gateway, name: gw}]\n"),
        (1, vec![])
    );
    assert_eq!(covered("  targetRefs: [{kind: Gateway, name: other}]\n"), (0, vec!["PC0303"]));
    // What cannot be read as narrower covers everything.
    assert_eq!(covered("  targetRefs: [{kind: Service, name: a}]\n"), (1, vec!["PC0211"]));
    assert_eq!(covered("  targetRefs: [{kind: Ingress, name: a}]\n"), (1, vec!["PC0210"]));
    let foreign =
        "  targetRefs: [{group: gateway.networking.k8s.io, kind: VirtualService, name: a}]\n";
    assert_eq!(covered(foreign), (1, vec!["PC0210"]));
    assert_eq!(covered("  selector: {matchLabels: {istio: 1}}\n"), (1, vec!["PC0208"]));
    assert_eq!(covered("  selektor: {matchLabels: {istio: other}}\n"), (1, vec!["PC0206"]));
}

#[test]
fn a_plugin_that_never_was_good_answers_by_its_fail_strategy() {
    let text = plugin("p", "  failStrategy: FAIL_OPEN\n  priorty: 1\n");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    assert_eq!(
        only_problem(&conversion),
        "p.yaml:7:3: error[PC0206] WasmPlugin/edge/p spec.priorty: a WasmPlugin has no field `priorty`; did you mean `priority`?; until then its failStrategy answers the requests that it covers"
    );
    assert_eq!(chain(&conversion), ["p"]);
    let broken = conversion.model.plugins.values().next().unwrap();
    assert_eq!(broken.fail_strategy, FailStrategy::Open);
    assert!(matches!(&broken.module, PluginModule::Broken(why) if why.contains("priorty")));
    // It still is not good at the next reload.
    let again = convert_after(&[("gw.yaml", GATEWAY), ("p.yaml", &text)], &conversion.memory);
    assert_eq!(again.model, conversion.model);
}

#[test]
fn a_plugin_whose_manifest_cannot_be_parsed_fails_closed_everywhere() {
    let text = plugin("p", "  pluginConfig: {a: [\n");
    for text in [text.clone(), text.replace("v1alpha1", "v2").replace("[\n", "1}\n")] {
        let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
        assert_eq!(chain(&conversion), ["p"], "{:?}", problems(&conversion));
        let plugin = conversion.model.plugins.values().next().unwrap();
        assert_eq!(plugin.fail_strategy, FailStrategy::Close);
        assert!(matches!(plugin.module, PluginModule::Broken(_)));
    }
}

#[test]
fn a_file_is_named_by_its_path() {
    let text = plugin("p", "").replace("builtin:telemetry", "file:///a/b.wasm");
    let conversion = convert(&[("p.yaml", &text)]);
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.module, PluginModule::File("/a/b.wasm".into()));
}

#[test]
fn annotations_of_ours_are_checked() {
    let with = |annotation: &str| {
        let text = plugin("p", "").replace(
            "namespace: edge}",
            &format!("namespace: edge, annotations: {{{annotation}}}}}"),
        );
        only_problem(&convert(&[("p.yaml", &text)]))
    };
    assert!(with("portcullis.dev/limit: 'memory=1Mi'").contains("error[PC0206] WasmPlugin/edge/p metadata.annotations[portcullis.dev/limit]: there is no annotation `portcullis.dev/limit`; did you mean `portcullis.dev/limits`?"));
    assert!(with("portcullis.dev/limits: 'memory=lots'").contains("PC0210"));
    assert!(with("portcullis.dev/limits: 'breaker=5'").contains("breaker=20/10s"));
    assert!(with("portcullis.dev/limits: 'share=101%'").contains("share=20%"));
    assert!(with("portcullis.dev/limits: 'sandboxes=5000'").contains("at most 4096"));
    assert!(with("portcullis.dev/limits: 'recycle=0'").contains("recycle=100000"));
    assert!(with("portcullis.dev/isolation: thread").contains("write worker or request"));
    assert!(with("portcullis.dev/on-headers-pause: body").contains("write everything or head"));
    assert!(with("portcullis.dev/strict: nginx").contains("write envoy"));
    assert!(with("portcullis.dev/capabilities: clock").contains("error[PC0210]"));
}
