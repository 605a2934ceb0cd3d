//! `portcullis test`: requests held against what is expected of them.

use std::process::{Command, Output};

use portcullis_testkit::Directory;
use portcullis_testkit::manifests::{join, service_entry};
use serde_json::Value;

use crate::gateway::binary;
use crate::shop;

const RULES: &str = "- name: cart\n  match:\n  - uri: {prefix: /cart/}\n  rewrite: {uri: /}\n  headers: {request: {set: {x-by: gateway}, remove: [x-secret]}}\n  \
                     route:\n  - destination: {host: blue.example}\n    weight: 90\n  - destination: {host: green.example}\n    weight: 10\n\
                     - name: old\n  match:\n  - uri: {exact: /old}\n  redirect: {uri: /new, redirectCode: 302}\n\
                     - name: say\n  match:\n  - uri: {exact: /say}\n  directResponse: {status: 418}\n";

/// Every field, as it is.
const RIGHT: &str = "cases:\n\
    - name: the cart\n  request:\n    method: POST\n    url: http://shop.example/cart/7?x=1\n    headers: {x-secret: s, x-user: ann}\n    client: 192.0.2.1\n  \
      expect:\n    outcome: forward\n    listener: Gateway/default/shop/http\n    host: shop.example\n    route: VirtualService/default/shop/http[cart]\n    cluster: blue.example\n    \
        clusters: {outbound|80||blue.example: 90, green.example: 10}\n    method: POST\n    authority: shop.example\n    path: /7?x=1\n    \
        headers: {x-by: gateway, x-user: ann, x-secret: null}\n    plugins: []\n\
    - request: {url: http://shop.example/old}\n  expect: {outcome: redirect, status: 302, location: http://shop.example/new}\n\
    - request: {url: http://shop.example/say}\n  expect: {outcome: direct_response, status: 418}\n\
    - request: {url: http://shop.example/lost}\n  expect: {outcome: not_found, status: 404, route: null}\n\
    - request: {url: http://shop.example/a%2fb}\n  expect: {outcome: refused, status: 400, refusal: path_escape_refused}\n";

fn run(cases: &str, arguments: &[&str]) -> Output {
    let directory = Directory::new();
    let endpoint = ["127.0.0.1:9".parse().unwrap()];
    let backends = ["blue", "green"]
        .map(|name| service_entry(name, &format!("{name}.example"), 80, &endpoint));
    directory.write("config/all.yaml", join(&[&[shop::manifests(RULES)][..], &backends].concat()));
    directory.write("cases.yaml", cases);
    let mut command = Command::new(binary());
    command.args(["test", "--config", "config", "cases.yaml"]).args(arguments);
    command.current_dir(directory.path()).output().unwrap()
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn what_is_as_expected_passes() {
    let output = run(RIGHT, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).starts_with("ok     the cart\nok     GET http://shop.example/old\n"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).ends_with("5 cases, 0 failed; 3 of 3 rules reached (100 %)\n"),
        "{}",
        text(&output)
    );
}

#[test]
fn everything_that_is_otherwise_is_told_with_its_place() {
    for (expected, field, actual) in [
        ("outcome: redirect", "outcome", "forward"),
        ("status: 200", "status", "the upstream's"),
        ("listener: x", "listener", "Gateway/default/shop/http"),
        ("host: x", "host", "shop.example"),
        ("route: x", "route", "VirtualService/default/shop/http[cart]"),
        ("route: null", "route", "VirtualService/default/shop/http[cart]"),
        (
            "cluster: red.example",
            "cluster",
            "outbound|80||blue.example 90.0 %, outbound|80||green.example 10.0 %",
        ),
        (
            "clusters: {blue.example: 80, green.example: 20}",
            "clusters",
            "outbound|80||blue.example 90.0 %, outbound|80||green.example 10.0 %",
        ),
        ("clusters: {blue.example: 90}", "clusters", "outbound|80||blue.example 90.0 %"),
        (
            "clusters: {blue.example: 90, green.example: 10, red.example: 1}",
            "clusters",
            "outbound|80||blue.example 90.0 %",
        ),
        ("method: POST", "method", "GET"),
        ("authority: x", "authority", "shop.example"),
        ("path: /cart/7", "path", "/7"),
        ("headers: {x-by: me}", "headers.x-by", "`gateway`"),
        ("headers: {x-by: null}", "headers.x-by", "`gateway`"),
        ("headers: {x-none: a}", "headers.x-none", "not there"),
        ("location: x", "location", "none"),
        ("refusal: x", "refusal", "none"),
        ("plugins: [a]", "plugins", "none"),
        ("filters: [a]", "filters", "rewrite"),
    ] {
        let cases = format!(
            "cases:\n- request: {{url: http://shop.example/cart/7}}\n  expect:\n    {expected}\n"
        );
        let output = run(&cases, &[]);
        assert_eq!(output.status.code(), Some(1), "{expected}: {}", text(&output));
        for part in [
            "FAILED GET http://shop.example/cart/7\n",
            &format!("{field}  (cases.yaml:4)\n         expected: "),
            &format!("actual:   {actual}"),
            "it is taken by VirtualService/default/shop/http[cart]  (config/all.yaml:",
            "1 case, 1 failed",
        ] {
            assert!(text(&output).contains(part), "{part:?} in {}", text(&output));
        }
    }
}

#[test]
fn programs_are_told_the_same() {
    let wrong = RIGHT.replace("status: 418", "status: 200");
    let output = run(&wrong, &["--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["failed"], &told["coverage"]["percent"]), (&1.into(), &100.0.into()));
    let case = &told["cases"][2];
    assert_eq!(case["failures"][0]["actual"], "418");
    assert_eq!(case["failures"][0]["file"], "cases.yaml");
    assert_eq!(case["explanation"]["route"], "VirtualService/default/shop/http[say]");
    assert_eq!(told["cases"][0]["passed"], true);
}

#[test]
fn rules_that_no_case_reaches_are_named() {
    let one = "cases:\n- request: {url: http://shop.example/say}\n  expect: {status: 418}\n";
    let output = run(one, &["--min-coverage", "33"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("1 of 3 rules reached (33 %)\n  not reached: VirtualService/default/shop/http[cart]  (config/all.yaml:"), "{}", text(&output));
    let output = run(one, &["--min-coverage", "50"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).ends_with("that is less than --min-coverage 50\n"), "{}", text(&output));
}

#[test]
fn a_wrong_file_of_cases_is_wrong_usage() {
    let output = run("cases:\n- request: {url: http://a/}\n  expect: {statsu: 200}\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    for part in [
        "error[PC0206]: an expectation has no field `statsu`",
        "--> cases.yaml:3:12",
        "3 |   expect: {statsu: 200}\n  |            ^^^^^^\n",
    ] {
        assert!(text(&output).contains(part), "{part:?} in {}", text(&output));
    }
    let output = run("# nothing\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(RIGHT, &["--min-coverage", "101"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_request_that_is_none_fails_its_case() {
    let output = run("cases:\n- request: {url: shop.example}\n  expect: {status: 200}\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("request  (cases.yaml:2)"), "{}", text(&output));
}

#[test]
fn the_scheme_may_be_what_a_load_balancer_says() {
    let cases = "cases:\n- request: {url: http://shop.example/old, scheme: https}\n  expect: {location: https://shop.example/new}\n";
    let output = run(cases, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
