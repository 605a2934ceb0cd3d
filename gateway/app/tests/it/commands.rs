//! `validate`, `explain` and `version`, and how wrong usage is told.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use portcullis_testkit::manifests::{
    gateway, http_gateway, http_server, join, service_entry, tls_server, virtual_service,
    wasm_plugin,
};
use portcullis_testkit::{Certificates, Directory, Upstream};
use serde_json::Value;

use crate::gateway::{Gateway, binary};
use crate::shop::{self, HOST, Shop, TO_BLUE};

/// A directory of manifests to run commands on.
struct Scene(Directory);

impl Scene {
    fn new(manifests: &str) -> Self {
        let directory = Directory::new();
        directory.write("config/all.yaml", manifests);
        Scene(directory)
    }

    /// Runs a command beside the configuration, which is in `config`.
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).envs(variables.iter().copied()).current_dir(self.0.path());
        command.output().unwrap()
    }

    fn explain(&self, request: &[&str]) -> Value {
        let mut arguments = vec!["explain", "--config", "config", "--output", "json"];
        arguments.extend_from_slice(request);
        let output = self.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        json(&output)
    }
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The exit status and the only line on standard error, nothing being on standard output.
fn complaint(output: &Output) -> (i32, &str) {
    let error = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!((error.lines().count(), text(output)), (1, ""), "{output:?}");
    (output.status.code().unwrap(), error.trim_end())
}

/// A forwarding rule with a mistake in it, on line 9 of its VirtualService.
const MISTAKE: &str =
    "- mtach:\n  - uri: {prefix: /}\n  route:\n  - destination: {host: blue.example}\n";

fn with_a_mistake() -> Scene {
    let service = virtual_service("shop", "shop", &[HOST], MISTAKE);
    let blue = service_entry("blue", "blue.example", 80, &["127.0.0.1:1".parse().unwrap()]);
    Scene::new(&join(&[service, http_gateway("shop", 80, &["*"]), blue]))
}

#[test]
fn validate_shows_what_is_wrong_and_where() {
    let output = with_a_mistake().run(&["validate", "config"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    for part in [
        "error[PC0206]: an HTTP rule has no field `mtach`\n",
        "  --> config/all.yaml:9:5\n",
        "9 |   - mtach:\n",
        "in VirtualService/default/shop, spec.http[0].mtach\n",
        "help: did you mean `match`?",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn validate_shows_no_line_that_may_be_of_a_secret() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for (manifest, code) in [
        (format!("{head}data: {{tls.crt: aGk=, tls.key: hunter2!}}\n"), "PC0210"),
        (format!("{head}stringData:\n  tls.crt: x\n  tls.key: hunter2\n"), "PC0215"),
        (format!("{head}stringData:\n  tls.key: \"hunter2\n"), "PC0102"),
        // So broken that nobody knows what it is.
        ("stringData: {key: \"hunter2\nkind: Secret\n".to_owned(), "PC0102"),
    ] {
        let scene = Scene::new(&manifest);
        for form in ["text", "json"] {
            let output = scene.run(&["validate", "--output", form, "config"]);
            let text = text(&output);
            assert!(text.contains(code) && !text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn validate_tells_programs_the_same() {
    let output = with_a_mistake().run(&["validate", "--output", "json", "config"]);
    assert_eq!(output.status.code(), Some(1));
    let problem = &json(&output)["problems"][0];
    let expected = "code severity object field file line column message help";
    assert_eq!(keys(problem), expected.split(' ').collect());
    assert_eq!((&problem["code"], &problem["severity"]), (&"PC0206".into(), &"error".into()));
    assert_eq!(problem["object"], "VirtualService/default/shop");
    assert_eq!(problem["field"], "spec.http[0].mtach");
    assert_eq!((&problem["line"], &problem["column"]), (&9.into(), &5.into()));
}

#[test]
fn validate_is_content_with_a_clean_configuration() {
    let scene = Scene::new(&shop::manifests("- directResponse: {status: 204}\n"));
    let output = scene.run(&["validate", "config"]);
    assert_eq!((output.status.code(), text(&output)), (Some(0), "0 errors, 0 warnings\n"));
    let output = scene.run(&["validate", "--output", "json", "config/all.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json(&output), serde_json::json!({ "problems": [] }));
}

#[test]
fn only_errors_make_validate_fail() {
    let telemetry = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t}\nspec: {metrics: [{overrides: []}]}\n";
    let rules = "- directResponse: {status: 204}\n";
    let scene = Scene::new(&join(&[shop::manifests(rules), telemetry.to_owned()]));
    let output = scene.run(&["validate", "--output", "json", "config"]);
    let problem = &json(&output)["problems"][0];
    assert_eq!((&problem["code"], &problem["severity"]), (&"PC0207".into(), &"warning".into()));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn validate_starts_the_plugins() {
    let plugin = wasm_plugin("jwt", "builtin:jwt-auth", "pluginConfig: {jwtRules: 7}\n");
    let scene = Scene::new(&join(&[shop::manifests("- directResponse: {status: 204}\n"), plugin]));
    let output = scene.run(&["validate", "--output", "json", "config"]);
    assert_eq!(output.status.code(), Some(1));
    let problem = &json(&output)["problems"][0];
    assert_eq!(problem["code"], "PC0406");
    assert_eq!(problem["object"], "WasmPlugin/default/jwt");
}

#[test]
fn the_meshs_certificates_are_looked_for_where_it_is_said() {
    let server = tls_server("https", 443, &["*"], "mode: ISTIO_MUTUAL");
    let rules = "- directResponse: {status: 204}\n";
    let manifests =
        join(&[gateway("shop", &[server]), virtual_service("shop", "shop", &["*"], rules)]);
    let scene = Scene::new(&manifests);
    let output = scene.run(&["validate", "config", "--mesh-certificates", "mesh"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("error[PC0320]: mesh/"), "{}", text(&output));
    assert!(text(&output).contains("mesh/cert-chain.pem"), "{}", text(&output));
    let own = Certificates::for_hosts(&["gateway.example"]);
    for (name, pem) in [
        ("key.pem", &own.key_pem),
        ("cert-chain.pem", &own.chain_pem),
        ("root-cert.pem", &own.ca_pem),
    ] {
        scene.0.write(&format!("mesh/{name}"), pem);
    }
    let output = scene.run(&["validate", "config", "--mesh-certificates", "mesh"]);
    assert_eq!((output.status.code(), text(&output)), (Some(0), "0 errors, 0 warnings\n"));
    let told = scene.explain(&["https://shop.example/", "--mesh-certificates", "mesh"]);
    assert_eq!(told["listener"], "Gateway/default/shop/https");
}

#[test]
fn every_option_has_its_variable_and_is_in_the_handbook() {
    let handbook = include_str!("../../../../docs/operations.md");
    let scene = Scene::new("");
    let output = scene.run(&["serve", "--help"]);
    let options: Vec<&str> = text(&output)
        .split("\n      --")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '\n']).next())
        .collect();
    assert!(options.len() > 20, "{}", text(&output));
    for option in options {
        let variable = format!("[env: PORTCULLIS_{}=", option.to_uppercase().replace('-', "_"));
        assert!(text(&output).contains(&variable), "--{option}");
        assert!(
            handbook.contains(&format!("`--{option}")),
            "--{option} is not in docs/operations.md"
        );
    }
}

#[test]
fn explain_keeps_its_keys() {
    let blue = service_entry("blue", "blue.example", 80, &["127.0.0.1:9".parse().unwrap()]);
    let rules = format!(
        "- name: api\n  match:\n  - uri: {{prefix: /api/}}\n  rewrite: {{uri: /}}\n  \
         headers: {{request: {{set: {{x-set: rule}}}}}}\n  route:\n  - destination: {{host: blue.example}}\n{TO_BLUE}"
    );
    let scene = Scene::new(&join(&[shop::manifests(&rules), blue]));
    let explained = scene.explain(&["POST", "http://shop.example/api/a?b", "-H", "x-mine: 1"]);
    let expected = "outcome status listener host route source considered filters plugins plugin_chain header_changes clusters upstream_request";
    assert_eq!(keys(&explained), expected.split(' ').collect());
    assert_eq!((&explained["outcome"], &explained["status"]), (&"forward".into(), &Value::Null));
    assert_eq!(explained["route"], "VirtualService/default/shop/http[api]");
    assert_eq!(keys(&explained["source"]), ["file", "line"].into());
    let considered = &explained["considered"][0];
    assert!(keys(considered).is_superset(&["route", "matched", "reason"].into()));
    let cluster = &explained["clusters"][0];
    assert_eq!(keys(cluster), ["name", "weight", "endpoints"].into());
    assert_eq!(cluster["name"], "outbound|80||blue.example");
    let endpoint = serde_json::json!({ "address": "127.0.0.1:9", "state": "healthy" });
    assert_eq!(cluster["endpoints"][0], endpoint);
    let upstream = &explained["upstream_request"];
    assert_eq!(keys(upstream), ["method", "authority", "path", "headers"].into());
    assert_eq!((&upstream["method"], &upstream["path"]), (&"POST".into(), &"/a?b".into()));
}

#[test]
fn explain_names_every_outcome() {
    let rules = "- match:\n  - uri: {exact: /go}\n  redirect: {uri: /gone, redirectCode: 302}\n\
         - match:\n  - uri: {exact: /say}\n  directResponse: {status: 418}\n\
         - match:\n  - uri: {exact: /lost}\n  route:\n  - destination: {host: nowhere.example}\n";
    let scene = Scene::new(&shop::manifests(rules));
    for (url, outcome, status) in [
        ("http://shop.example/go", "redirect", 302),
        ("http://shop.example/say", "direct_response", 418),
        ("http://shop.example/lost", "forward", 503),
        ("http://shop.example/other", "not_found", 404),
        ("http://stranger.example/go", "not_found", 404),
        ("https://shop.example/go", "not_found", 404),
    ] {
        let explained = scene.explain(&[url]);
        assert_eq!(
            (&explained["outcome"], &explained["status"]),
            (&outcome.into(), &status.into()),
            "{url}"
        );
    }
    let lost = scene.explain(&["http://shop.example/other"]);
    assert_eq!((&lost["route"], lost["considered"].as_array().unwrap().len()), (&Value::Null, 3));
    let reason = lost["considered"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("`/other`") && reason.contains("`/go`"), "{reason}");
}

#[test]
fn explain_reads_a_url_as_the_gateway_does() {
    let rules =
        "- name: admin\n  match:\n  - uri: {prefix: /admin}\n  directResponse: {status: 403}\n";
    let scene = Scene::new(&shop::manifests(rules));
    for path in ["/x/../admin", "//admin", "/%61dmin"] {
        let explained = scene.explain(&[&format!("http://shop.example{path}")]);
        assert_eq!(explained["route"], "VirtualService/default/shop/http[admin]", "{path}");
    }
    for (url, field, status, refusal) in [
        ("http://shop.example/x%2fadmin", "x-a: 1", 400, "path_escape_refused: "),
        ("http://shop.example/..;/admin", "x-a: 1", 400, "path_dot_segment_parameter: "),
        ("http://user@shop.example/", "x-a: 1", 400, "host_userinfo_refused: "),
        ("http://shop.example/", "x_a: 1", 400, "header_underscore_refused: "),
        ("http://shop.example/", "expect: tea", 417, "expectation_refused: "),
    ] {
        let explained = scene.explain(&[url, "-H", field]);
        let told = explained["refusal"].as_str().unwrap();
        assert!(told.starts_with(refusal), "{told}");
        assert_eq!(
            (&explained["outcome"], &explained["status"]),
            (&"refused".into(), &status.into())
        );
        let output = scene.run(&["explain", "--config", "config", url, "-H", field]);
        assert!(text(&output).contains(told), "{}", text(&output));
    }
}

#[test]
fn explain_knows_the_paths_that_no_rule_takes() {
    let scene = Scene::new(&shop::manifests("- directResponse: {status: 418}\n"));
    let ready = "http://shop.example/.portcullis/healthz/ready";
    let check = "http://shop.example/grpc.health.v1.Health/Check";
    let grpc = "content-type: application/grpc";
    for (request, status, reserved) in [
        (vec![ready], 200, true),
        (vec!["POST", ready], 405, true),
        (vec!["http://shop.example/.portcullis//healthz/x/../%72eady"], 200, true),
        (vec!["POST", check, "-H", grpc], 200, true),
        (vec!["POST", check], 418, false),
    ] {
        let explained = scene.explain(&request);
        assert_eq!(explained["outcome"], "direct_response", "{request:?}");
        assert_eq!(explained["status"], status, "{request:?}");
        assert_eq!(explained["reserved"] == "health_path", reserved, "{request:?}");
        assert_eq!(explained["route"].is_null(), reserved, "{request:?}");
    }
    let output = scene.run(&["explain", "--config", "config", ready]);
    assert!(text(&output).contains("the gateway itself answers"), "{}", text(&output));
}

#[test]
fn explain_speaks_of_the_ports_of_the_resources() {
    let redirecting = http_server("plain", 8080, &["*"]) + "  tls: {httpsRedirect: true}\n";
    let scene = Scene::new(&join(&[
        gateway("shop", &[redirecting, http_server("other", 8081, &["*"])]),
        virtual_service("shop", "shop", &["*"], "- directResponse: {status: 204}\n"),
    ]));
    for (url, listener, outcome, status) in [
        ("http://a.example:8080/", "Gateway/default/shop/plain", "redirect", 301),
        ("http://a.example:8081/", "Gateway/default/shop/other", "direct_response", 204),
    ] {
        let explained = scene.explain(&[url]);
        assert_eq!(
            (&explained["listener"], &explained["outcome"]),
            (&listener.into(), &outcome.into())
        );
        assert_eq!(explained["status"], status);
    }
}

#[test]
fn explain_tells_people_the_same() {
    let scene = Scene::new(&shop::manifests("- name: say\n  directResponse: {status: 418}\n"));
    let output = scene.run(&["explain", "--config", "config", "http://shop.example/"]);
    assert_eq!(output.status.code(), Some(0));
    for part in
        ["direct_response (418)", "VirtualService/default/shop/http[say]", "config/all.yaml:"]
    {
        assert!(text(&output).contains(part), "{part:?} in {}", text(&output));
    }
}

#[tokio::test]
async fn explain_says_what_the_gateway_does() {
    let rules = "- match:\n  - uri: {prefix: /a}\n    headers: {x-team: {exact: red}}\n  route:\n  - destination: {host: blue.example}\n\
         - match:\n  - uri: {prefix: /a}\n  directResponse: {status: 204}\n\
         - match:\n  - method: {exact: POST}\n  redirect: {uri: /gone}\n";
    let mut shop = Shop::open(rules).await;
    let scene = Scene::new(&shop.manifests(rules));
    for (method, path, team) in
        [("GET", "/a", "red"), ("GET", "/a", "blue"), ("POST", "/b", "x"), ("GET", "/b", "x")]
    {
        let call = portcullis_testkit::Call::new(method, HOST, path).header("x-team", team);
        let reply = shop.client.call(call).await;
        let url = format!("http://{HOST}{path}");
        let explained = scene.explain(&[method, &url, "-H", &format!("x-team: {team}")]);
        assert_eq!(explained["route"].as_str().unwrap_or(""), reply.header("x-portcullis-route"));
        let status = explained["status"].as_u64().unwrap_or(200);
        assert_eq!(status, u64::from(reply.status.as_u16()), "{method} {path} {team}");
    }
}

#[test]
fn version_names_version_commit_features_and_engine() {
    let output = Scene::new("").run(&["version"]);
    assert_eq!(output.status.code(), Some(0));
    let words: Vec<_> = text(&output).lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["portcullis", "commit", "features", "engine"]);
    assert!(text(&output).starts_with(&format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    let scene = Scene::new(&shop::manifests(TO_BLUE));
    for (arguments, part) in [
        (&["serve"][..], "--config"),
        (&["serve", "--config", "nowhere"], "nowhere: there is no such file"),
        (&["serve", "--config", "config", "--http3"], "--http3 is not built yet"),
        (&["serve", "--config", "config", "--compat", "nginx"], "--compat"),
        (&["serve", "--config", "config", "--drain-delay", "soon"], "--drain-delay"),
        (&["serve", "--config", "config", "--log-level", "loud"], "`loud` is no log level"),
        (&["serve", "--config", "config", "--access-log", "%NOPE%"], "%NOPE%"),
        (&["serve", "--config", "config", "--port-map", "80"], "80=8080"),
        (&["validate", "nowhere"], "nowhere: there is no such file"),
        (&["validate", "--output", "xml", "config"], "xml"),
        (&["explain", "--config", "config", "shop.example/a"], "https://"),
        (&["explain", "--config", "config", "http://a/", "-H", "no colon"], "no colon"),
        (&["bogus"], "bogus"),
        (&["serve", "--bogus"], "--bogus"),
    ] {
        let output = scene.run(arguments);
        let (status, line) = complaint(&output);
        assert_eq!(status, 2, "{arguments:?}: {line}");
        assert!(line.starts_with("portcullis: ") && line.contains(part), "{arguments:?}: {line}");
    }
}

#[test]
fn a_side_port_in_use_is_a_failure_told_in_one_line() {
    let scene = Scene::new(&shop::manifests(TO_BLUE));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let others = ["serve", "--config", "config", "--metrics", "off", "--admin", "off"];
    let output = scene.run(&[&others[..], &["--status", &address]].concat());
    let (status, line) = complaint(&output);
    assert_eq!(status, 1);
    assert!(line.contains(&format!("--status {address} cannot be bound")), "{line}");
}

#[test]
fn an_access_log_that_cannot_be_written_is_a_failure_told_in_one_line() {
    let scene = Scene::new(&shop::manifests(TO_BLUE));
    let others = ["serve", "--config", "config", "--status", "off", "--metrics", "off"];
    let log = ["--admin", "off", "--access-log-path", "nowhere/access.log"];
    let output = scene.run(&[&others[..], &log].concat());
    let (status, line) = complaint(&output);
    assert_eq!(status, 1);
    assert!(line.contains("nowhere/access.log"), "{line}");
}

#[test]
fn variables_stand_for_options_and_a_flag_wins() {
    let scene = Scene::new(&shop::manifests("- directResponse: {status: 204}\n"));
    let variables = [("PORTCULLIS_OUTPUT", "json"), ("PORTCULLIS_CONFIG", "config")];
    let output = scene.run_with(&["explain", "http://shop.example/"], &variables);
    assert_eq!(json(&output)["status"], 204);
    let output =
        scene.run_with(&["explain", "--output", "text", "http://shop.example/"], &variables);
    assert!(text(&output).starts_with("GET http://shop.example/\n"));
}

#[tokio::test]
async fn serve_takes_its_options_from_variables() {
    let blue = Upstream::start("blue");
    let entry = service_entry("blue", "blue.example", 80, &[blue.address()]);
    let manifests = join(&[shop::manifests(TO_BLUE), entry]);
    let variables = [
        ("PORTCULLIS_ACCESS_LOG", "%REQ(:PATH)% %RESPONSE_CODE%"),
        ("PORTCULLIS_TRUSTED_HOPS", "1"),
        ("PORTCULLIS_PORT_MAP", "80=0,443=0"),
        ("PORTCULLIS_BIND", "127.0.0.1"),
        ("PORTCULLIS_METRICS", "off"),
    ];
    let mut gateway = Gateway::start_with_env(&manifests, &variables).await;
    let mut client = portcullis_testkit::Client::http1(gateway.address("http")).await.unwrap();
    let call = portcullis_testkit::Call::get(HOST, "/a").header("x-request-id", "kept");
    assert_eq!(client.call(call).await.json()["headers"]["x-request-id"], "kept");
    assert_eq!(gateway.access_line().await, "/a 200");
    assert!(gateway.ready()["metrics"].is_null());
}
