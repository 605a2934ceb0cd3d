//! Where modules come from, as plugin objects say it.

use portcullis_model::{
    Capabilities, ManifestDemand, Plugin, PluginModule, PullCredentials, PullPolicy,
};

use super::*;

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge, labels: {istio: ingressgateway}}
spec:
  servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ['*']}]
";
const KEY: &str = "-----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
    -----END PUBLIC KEY-----";

fn object(spec: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: p, namespace: edge}}\nspec:\n{spec}"
    )
}

fn convert_with(text: &str) -> Conversion {
    convert(&[("gw.yaml", GATEWAY), ("p.yaml", text)])
}

fn read(spec: &str) -> Plugin {
    let conversion = convert_with(&object(spec));
    assert_eq!(problems(&conversion), Vec::<String>::new(), "{spec}");
    (**conversion.model.plugins.values().next().unwrap()).clone()
}

fn problem_of(spec: &str) -> String {
    let conversion = convert_with(&object(spec));
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert!(matches!(plugin.module, PluginModule::Broken(_)), "{spec}");
    only_problem(&conversion)
}

#[test]
fn urls_lead_to_images_and_servers() {
    for (url, shown) in [
        ("oci://ghcr.io/team/auth:1.2", "oci://ghcr.io/team/auth:1.2"),
        ("ghcr.io/team/auth", "oci://ghcr.io/team/auth"),
        ("https://example.com/x.wasm?v=1", "https://example.com/x.wasm?v=1"),
    ] {
        assert_eq!(read(&format!("  url: {url}\n")).module.to_string(), shown);
    }
}

#[test]
fn urls_that_lead_nowhere_are_refused_with_their_line() {
    for url in [
        "oci://ghcr.io/",
        "oci://GHCR.io/A",
        "https://",
        "https://u:p@example.com/x",
        "ftp://a/b",
        "x.wasm",
        "/a/x.wasm",
        "file://x.wasm",
    ] {
        let problem = problem_of(&format!("  url: {url}\n"));
        let place = "p.yaml:5:8: error[PC0210] WasmPlugin/edge/p spec.url";
        assert!(problem.starts_with(place), "{problem}");
    }
}

#[test]
fn plain_http_needs_a_digest() {
    let problem = problem_of("  url: http://example.com/x.wasm\n");
    assert!(problem.contains("PC0210") && problem.contains("`sha256`"), "{problem}");
    let digest = "ab".repeat(32);
    let plugin = read(&format!("  url: http://example.com/x.wasm\n  sha256: sha256:{digest}\n"));
    assert_eq!(plugin.sha256, Some(digest));
}

#[test]
fn the_policy_of_pulling_is_istios() {
    let policy = |spec: &str| read(spec).supply.pull;
    assert_eq!(policy("  url: oci://r.io/a:1\n"), PullPolicy::IfNotPresent);
    assert_eq!(policy("  url: oci://r.io/a:1\n  imagePullPolicy: Always\n"), PullPolicy::Always);
    assert_eq!(policy("  url: oci://r.io/a\n"), PullPolicy::Always);
    assert_eq!(
        policy("  url: oci://r.io/a\n  imagePullPolicy: UNSPECIFIED_POLICY\n"),
        PullPolicy::Always
    );
    assert_eq!(
        policy("  url: oci://r.io/a\n  imagePullPolicy: IfNotPresent\n"),
        PullPolicy::IfNotPresent
    );
    let digest = "ab".repeat(32);
    let by_digest = format!("  url: oci://r.io/a@sha256:{digest}\n  imagePullPolicy: Always\n");
    assert_eq!(policy(&by_digest), PullPolicy::IfNotPresent);
    assert!(
        problem_of("  url: oci://r.io/a\n  imagePullPolicy: Never\n").contains("imagePullPolicy")
    );
}

#[test]
fn keys_are_read_where_there_can_be_signatures() {
    let plugin = read(&format!("  url: oci://r.io/a:1\n  verificationKey: |\n    {KEY}\n"));
    assert!(plugin.supply.verification_key.is_some());
    let problem = problem_of("  url: oci://r.io/a:1\n  verificationKey: secret\n");
    assert!(problem.contains("p.yaml:6:20") && problem.contains("no public key"), "{problem}");
    let web = format!("  url: https://a.io/a\n  verificationKey: |\n    {KEY}\n");
    assert!(problem_of(&web).contains("only modules of OCI registries"));
}

#[test]
fn a_pull_secret_is_found_in_the_objects_namespace_alone() {
    let spec = "  url: oci://r.io/a:1\n  imagePullSecret: pull\n";
    let secret = |namespace: &str, entry: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: pull, namespace: {namespace}}}\nstringData: {entry}\n"
        )
    };
    let login = r#"{.dockerconfigjson: '{"auths":{"r.io":{"username":"me","password":"p"}}}'}"#;
    let with = |secret: &str| {
        let files = [("gw.yaml", GATEWAY), ("p.yaml", &object(spec)), ("s.yaml", secret)];
        let conversion = convert(&files);
        let plugin = conversion.model.plugins.values().next().unwrap();
        (plugin.supply.credentials.clone(), problems(&conversion).join("\n"))
    };
    let (credentials, told) = with(&secret("edge", login));
    let PullCredentials::Known(known) = credentials else { panic!("{told}") };
    assert_eq!(known.of("r.io").unwrap().name, "me");
    for (secret, code) in [(secret("other", login), "PC0301"), (secret("edge", "{a: b}"), "PC0302")]
    {
        let (credentials, told) = with(&secret);
        assert!(matches!(credentials, PullCredentials::Missing(_)));
        assert!(told.contains(&format!("p.yaml:6:20: error[{code}]")), "{told}");
    }
    let (_, told) = with(&secret(
        "edge",
        "{.dockerconfigjson: '{\"auths\":{\"r.io\":{\"auth\":\"secret\"}}}'}",
    ));
    assert!(told.contains("s.yaml") && !told.contains("secret\""), "{told}");
}

#[test]
fn capabilities_are_read_and_a_gateway_may_demand_manifests() {
    let annotated = |value: &str| {
        object("  url: builtin:telemetry\n").replace(
            "namespace: edge}",
            &format!("namespace: edge, annotations: {{portcullis.dev/capabilities: '{value}'}}}}"),
        )
    };
    let conversion = convert_with(&annotated("headers,upstreams=a;b"));
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.capabilities, Capabilities::parse("headers,upstreams=a;b").ok());
    assert_eq!(plugin.manifest_demand, ManifestDemand::None);
    let problem = only_problem(&convert_with(&annotated("headers,clock")));
    assert!(problem.contains("`clock` is no capability"), "{problem}");

    let demanding = GATEWAY
        .replace("labels:", "annotations: {portcullis.dev/plugin-manifests: required}, labels:");
    let text = annotated("headers");
    let conversion = convert(&[("gw.yaml", &demanding), ("p.yaml", &text)]);
    assert_eq!(problems(&conversion), Vec::<String>::new());
    let plugin = conversion.model.plugins.values().next().unwrap();
    assert_eq!(plugin.manifest_demand, ManifestDemand::Required);
    let broken = demanding.replace("required", "perhaps");
    let told = problems(&convert(&[("gw.yaml", &broken), ("p.yaml", &text)])).join("\n");
    assert!(told.contains("PC0210"), "{told}");
}
