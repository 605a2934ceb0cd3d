//! What an EdgePolicy and `--compat istio` set, seen from outside: how heads are read on each listener, and how
//! large they may be.

use std::net::SocketAddr;
use std::process::Command;

use portcullis_testkit::manifests::{
    edge_policy, http_gateway, join, service_entry, virtual_service, wasm_plugin,
};
use portcullis_testkit::{Call, Client, RawConnection, RawUpstream, module};
use serde_json::Value;

use crate::canonical::SETTER;
use crate::gateway::{Gateway, binary, directory_with};
use crate::shop::{HOST, TO_BLUE};

/// The host of a listener that shares the port of [`HOST`]'s.
const LAX: &str = "lax.example";

/// Read as Istio does.
const LAX_RULES: &str = "{targetRefs: [{kind: Gateway, name: lax}], path: {mergeSlashes: false, escapedSlashes: keep, backslashes: toSlash}, headers: {underscores: allow}}";

/// Two Gateways on one port, each with these rules and its own host, in front of one upstream.
fn manifests(blue: &RawUpstream, rules: &str, policies: &[String]) -> String {
    let mut all = vec![
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], rules),
        http_gateway("lax", 80, &[LAX]),
        virtual_service("lax", "lax", &[LAX], rules),
        service_entry("blue", "blue.example", 80, &[blue.address]),
    ];
    all.extend_from_slice(policies);
    join(&all)
}

async fn shown_upstream() -> RawUpstream {
    RawUpstream::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
}

/// An EdgePolicy for the whole mesh.
fn mesh_policy(spec: &str) -> String {
    edge_policy("mesh", spec).replace("  name: mesh\n", "  name: mesh\n  namespace: istio-system\n")
}

struct Scene {
    gateway: Gateway,
    blue: RawUpstream,
    address: SocketAddr,
}

impl Scene {
    async fn open(rules: &str, policies: &[String], arguments: &[&str]) -> Scene {
        let blue = shown_upstream().await;
        let gateway = Gateway::start_with(&manifests(&blue, rules, policies), arguments).await;
        Scene { address: gateway.address("http"), gateway, blue }
    }

    /// What the upstream is asked for, or the status where it is not asked.
    async fn ask(&mut self, host: &str, target: &str, fields: &str) -> String {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{fields}connection: close\r\n\r\n");
        let reply = RawConnection::exchange(self.address, request).await;
        self.outcome(&reply).await
    }

    async fn outcome(&mut self, reply: &str) -> String {
        let status = reply.split(' ').nth(1).unwrap_or_default();
        if status == "200" {
            let head = self.blue.next_head().await;
            return head.split(' ').nth(1).unwrap().to_owned();
        }
        assert!(self.blue.is_quiet(), "{reply}");
        status.to_owned()
    }
}

/// Targets, and what becomes of each where heads are read strictly, and as Istio reads them.
const TARGETS: [(&str, &str, &str); 8] = [
    ("/a", "/a", "/a"),
    ("//a///b", "/a/b", "//a///b"),
    ("/a/../b//%61", "/b/a", "/b//a"),
    ("/a%2fb", "400", "/a%2Fb"),
    ("/a%5Cb", "400", "/a%5Cb"),
    ("/a\\..\\b", "400", "/b"),
    ("/a/..%2Fb", "400", "400"),
    ("/a/..;/b", "400", "400"),
];

#[tokio::test]
async fn each_listener_of_a_port_reads_heads_by_its_own_rules() {
    let mut scene = Scene::open(TO_BLUE, &[edge_policy("lax", LAX_RULES)], &[]).await;
    for (target, strict, lax) in TARGETS {
        assert_eq!(scene.ask(HOST, target, "").await, strict, "{target}");
        assert_eq!(
            scene.ask("other.example", target, "").await,
            if strict == "400" { "400" } else { "404" }
        );
        assert_eq!(scene.ask(LAX, target, "").await, lax, "{target}");
        assert_eq!(scene.ask("LAX.Example.:80", target, "").await, lax, "{target}");
        // The host is that of the target where it has one.
        let absolute = format!("http://{LAX}{target}");
        assert_eq!(scene.ask(HOST, &absolute, "").await, lax, "{absolute}");
        // As a rule, over HTTP/2 too. What is no URI there its client does not send.
        if !target.contains('\\') {
            for (host, expected) in [(HOST, strict), (LAX, lax)] {
                let mut client = Client::h2c(scene.address).await.unwrap();
                let reply = client.get(host, target).await;
                let status = format!("HTTP/2 {} ", reply.status.as_u16());
                assert_eq!(scene.outcome(&status).await, expected, "{host} {target}");
            }
        }
    }
    assert_eq!(scene.ask(HOST, "/", "x_user: root\r\n").await, "400");
    assert_eq!(scene.ask(LAX, "/u", "x_user: root\r\n").await, "/u");
    assert_eq!(scene.ask(LAX, "/", "expect: tea\r\n").await, "417");
}

#[tokio::test]
async fn a_reload_changes_the_rules_for_the_next_request() {
    let mut scene = Scene::open(TO_BLUE, &[edge_policy("lax", LAX_RULES)], &[]).await;
    let mut client = Client::http1(scene.address).await.unwrap();
    assert_eq!(client.get(LAX, "/a%2Fb").await.status, 200);
    assert!(scene.blue.next_head().await.starts_with("GET /a%2Fb "));
    scene.gateway.apply(&manifests(&scene.blue, TO_BLUE, &[])).await;
    assert_eq!(client.get(LAX, "/a%2Fb").await.status, 400);
    // One that is broken changes nothing more.
    let broken = edge_policy("lax", &LAX_RULES.replace("keep", "kept"));
    scene.gateway.apply(&manifests(&scene.blue, TO_BLUE, &[broken])).await;
    assert_eq!(scene.ask(LAX, "/a%2Fb", "").await, "400");
}

#[tokio::test]
async fn what_a_rule_or_plugin_sets_is_read_by_the_listeners_rules() {
    let rules = "- match: [{uri: {prefix: /old}}]\n  rewrite: {uri: /new}\n  route:\n  - destination: {host: blue.example}\n- route:\n  - destination: {host: blue.example}\n";
    let blue = shown_upstream().await;
    let policies = [edge_policy("lax", LAX_RULES), wasm_plugin("setter", "./setter.wasm", "")];
    let directory = directory_with(&manifests(&blue, rules, &policies));
    std::fs::write(directory.path().join("config/setter.wasm"), module(SETTER)).unwrap();
    let gateway = Gateway::start_in(directory, &[]).await;
    let mut scene = Scene { address: gateway.address("http"), gateway, blue };
    assert_eq!(scene.ask(HOST, "/old/a//b", "").await, "/new/a/b");
    assert_eq!(scene.ask(LAX, "/old/a//b%2fc", "").await, "/new/a//b%2Fc");
    // A rewrite uncovers no dot segment, whatever the rules.
    assert_eq!(scene.ask(LAX, "/old..%2Fb", "").await, "/new..%2Fb");
    assert_eq!(scene.ask(LAX, "/", "x-set-path: /x//y%2fz\r\n").await, "/x//y%2Fz");
    assert_eq!(scene.ask(HOST, "/", "x-set-path: /x//y\r\n").await, "/x/y");
    assert_eq!(scene.ask(HOST, "/", "x-set-path: /x%2fy\r\n").await, "400");
    assert_eq!(scene.ask(LAX, "/", "x-set-path: /..%2fy\r\n").await, "400");
}

#[tokio::test]
async fn compat_istio_is_what_every_listener_begins_with() {
    let strict = edge_policy(
        "strict",
        "{targetRefs: [{kind: Gateway, name: shop}], path: {mergeSlashes: true, escapedSlashes: refuse, backslashes: refuse}, headers: {underscores: refuse}}",
    );
    let mut scene = Scene::open(TO_BLUE, &[strict], &["--compat", "istio"]).await;
    for (target, strict, lax) in TARGETS {
        assert_eq!(scene.ask(HOST, target, "").await, strict, "{target}");
        assert_eq!(scene.ask(LAX, target, "").await, lax, "{target}");
    }
    assert_eq!(scene.ask(HOST, "/", "x_user: root\r\n").await, "400");
    assert_eq!(scene.ask(LAX, "/u", "x_user: root\r\n").await, "/u");
    // A policy for the whole mesh goes before it.
    let mesh = mesh_policy("{path: {backslashes: refuse}}");
    scene.gateway.apply(&manifests(&scene.blue, TO_BLUE, &[mesh])).await;
    assert_eq!(scene.ask(LAX, "/a\\b", "").await, "400");
    assert_eq!(scene.ask(HOST, "//a%2fb", "").await, "//a%2Fb");
}

#[tokio::test]
async fn explain_reads_heads_by_the_same_rules() {
    let blue = shown_upstream().await;
    let directory = directory_with(&manifests(&blue, TO_BLUE, &[edge_policy("lax", LAX_RULES)]));
    let explain = |arguments: &[&str], url: &str| {
        let mut command = Command::new(binary());
        command.args(["explain", "--config", "config", "--output", "json"]).args(arguments);
        let output = command.arg(url).current_dir(directory.path()).output().unwrap();
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        match explained["upstream_request"]["path"].as_str() {
            Some(path) => path.to_owned(),
            None => explained["status"].to_string(),
        }
    };
    for (target, strict, lax) in TARGETS {
        assert_eq!(explain(&[], &format!("http://{HOST}{target}")), strict, "{target}");
        assert_eq!(explain(&[], &format!("http://{LAX}{target}")), lax, "{target}");
        let compat = explain(&["--compat", "istio"], &format!("http://{HOST}{target}"));
        assert_eq!(compat, lax, "{target}");
    }
    let underscore = ["-H", "x_user: root"];
    assert_eq!(explain(&underscore, &format!("http://{HOST}/")), "400");
    assert_eq!(explain(&underscore, &format!("http://{LAX}/")), "/");
}

const SMALL_HEADS: &str =
    "{limits: {headBytes: 1Ki, fieldBytes: 300, requestLineBytes: 256, fields: 8}}";

#[tokio::test]
async fn heads_keep_to_the_limits_that_are_set() {
    let mut scene = Scene::open(TO_BLUE, &[edge_policy("small", SMALL_HEADS)], &[]).await;
    let many =
        |count: usize, length: usize| format!("x-a: {}\r\n", "b".repeat(length)).repeat(count);
    for (target, fields, expected) in [
        ("/fits".to_owned(), many(3, 250), "/fits"),
        (format!("/{}", "a".repeat(260)), String::new(), "414"),
        ("/".to_owned(), many(1, 310), "431"),
        ("/".to_owned(), many(9, 1), "431"),
        ("/".to_owned(), many(5, 250), "431"),
    ] {
        assert_eq!(scene.ask(HOST, &target, &fields).await, expected, "{target} {fields}");
    }
    // Trailers keep to them too.
    let trailers = |fields: &str| {
        format!(
            "POST /t HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n{fields}\r\n"
        )
    };
    let reply = RawConnection::exchange(scene.address, trailers(&many(9, 1))).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    for (count, length) in [(1, 310), (9, 1), (5, 250)] {
        let mut client = Client::h2c(scene.address).await.unwrap();
        let mut call = Call::get(HOST, "/");
        for _ in 0..count {
            call = call.header("x-a", &"b".repeat(length));
        }
        assert_eq!(client.call(call).await.status, 431, "{count} of {length}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_limits_for_the_next_connection() {
    let mut scene = Scene::open(TO_BLUE, &[edge_policy("small", SMALL_HEADS)], &[]).await;
    let long = format!("/{}", "a".repeat(1000));
    assert_eq!(scene.ask(HOST, &long, "").await, "414");
    scene.gateway.apply(&manifests(&scene.blue, TO_BLUE, &[])).await;
    assert_eq!(scene.ask(HOST, &long, "").await, long);
    scene.gateway.apply(&manifests(&scene.blue, TO_BLUE, &[mesh_policy(SMALL_HEADS)])).await;
    assert_eq!(scene.ask(HOST, &long, "").await, "414");
}
