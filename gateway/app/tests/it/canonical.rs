//! Heads of requests on the wire: what is the same goes upstream in one form, byte for byte, over HTTP/1 and
//! HTTP/2; what could be read in two ways is refused, told by its rule, and disturbs nobody else.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry, wasm_plugin};
use portcullis_testkit::{
    Call, Client, Http2Answer, RawConnection, RawUpstream, http2_exchange, module,
};

use crate::gateway::{Gateway, directory_with};
use crate::shop::{self, HOST, Shop, TO_BLUE};

/// A gateway in front of an upstream that shows every byte of a head.
struct Scene {
    gateway: Gateway,
    blue: RawUpstream,
    address: SocketAddr,
}

impl Scene {
    async fn open() -> Scene {
        Scene::open_with(TO_BLUE).await
    }

    async fn open_with(rules: &str) -> Scene {
        let blue = shown_upstream().await;
        let gateway = Gateway::start(&manifests(rules, &blue)).await;
        Scene { address: gateway.address("http"), gateway, blue }
    }

    /// Sends a request over HTTP/1; the request line that the upstream gets.
    async fn line_for(&mut self, target: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let reply = RawConnection::exchange(self.address, request).await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{target}: {reply}");
        self.next_line().await
    }

    async fn next_line(&mut self) -> String {
        self.blue.next_head().await.lines().next().unwrap().to_owned()
    }

    /// Sends bytes that have to be refused with this status and closed upon, whatever follows them, while a
    /// neighbour is served as before. The log names the rule.
    async fn refused(&mut self, bytes: &str, status: u16, rule: &str) {
        let mut neighbour = Client::http1(self.address).await.unwrap();
        assert_eq!(neighbour.get(HOST, "/neighbour").await.status, 200);
        let follows = format!("GET /smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        let reply = RawConnection::exchange(self.address, format!("{bytes}{follows}")).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {reply}");
        assert_eq!(reply.matches("HTTP/1.").count(), 1, "{bytes:?}: {reply}");
        assert!(reply.contains("\r\nconnection: close\r\n"), "{bytes:?}: {reply}");
        assert_eq!(neighbour.get(HOST, "/neighbour").await.status, 200);
        self.only_neighbours(2).await;
        let line = self.gateway.access_line_with(" DPE ").await;
        assert!(line.contains(&format!("\" {status} DPE {rule} ")), "{bytes:?}: {line}");
    }

    async fn only_neighbours(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.next_line().await, "GET /neighbour HTTP/1.1");
        }
        assert!(self.blue.is_quiet());
    }
}

async fn shown_upstream() -> RawUpstream {
    RawUpstream::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
}

fn manifests(rules: &str, blue: &RawUpstream) -> String {
    join(&[shop::manifests(rules), service_entry("blue", "blue.example", 80, &[blue.address])])
}

/// A head of HTTP/2 fields with this path.
fn http2_fields<'a>(path: &'a str, further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields =
        vec![(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", path)];
    fields.extend_from_slice(further);
    fields
}

/// What clients send, and the one form in which it goes on.
const REWRITTEN: [(&str, &str); 10] = [
    ("/a/../b", "/b"),
    ("/../../b/.", "/b/"),
    ("/a/%2e%2E/b/%2E", "/b/"),
    ("/%61%7e?%61=%2e%2e%2F", "/a~?%61=%2e%2e%2F"),
    ("/%c3%a9%3b", "/%C3%A9%3B"),
    ("//a///b//", "/a/b/"),
    ("/a//../b", "/a/b"),
    ("/%252e%252e/", "/%252e%252e/"),
    ("/a;b=c/..d;/...;e", "/a;b=c/..d;/...;e"),
    ("/a?b/../c//", "/a?b/../c//"),
];

#[tokio::test]
async fn a_head_arrives_in_its_canonical_form() {
    let mut scene = Scene::open().await;
    let request = "POST /a/../%62?c=/../%2f HTTP/1.1\r\nHost: Shop.Example:80\r\nX-Mine: 1\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n";
    RawConnection::exchange(scene.address, request).await;
    let head = scene.blue.next_head().await;
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    let mut lines: Vec<_> = head.lines().map(|line| line.replace(id, "ID")).collect();
    assert_eq!(lines.remove(0), "POST /b?c=/../%2f HTTP/1.1");
    lines.sort();
    assert_eq!(
        lines,
        [
            "",
            "content-length: 0",
            "host: Shop.Example:80",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "x-mine: 1",
            "x-request-id: ID",
        ]
    );
    let line = scene.gateway.access_line().await;
    assert!(line.contains("\"POST /a/../%62?c=/../%2f HTTP/1.1\" 200 - via_upstream"), "{line}");
}

#[tokio::test]
async fn a_path_goes_upstream_in_one_form() {
    let mut scene = Scene::open().await;
    let mut http2 = Client::h2c(scene.address).await.unwrap();
    for (sent, canonical) in REWRITTEN {
        let expected = format!("GET {canonical} HTTP/1.1");
        assert_eq!(scene.line_for(sent).await, expected, "{sent}");
        assert_eq!(scene.line_for(&format!("http://{HOST}{sent}")).await, expected, "{sent}");
        assert_eq!(http2.get(HOST, sent).await.status, 200);
        assert_eq!(scene.next_line().await, expected, "{sent} over HTTP/2");
    }
    assert_eq!(scene.line_for("http://shop.example").await, "GET / HTTP/1.1");
    assert_eq!(scene.line_for("http://shop.example?a").await, "GET /?a HTTP/1.1");
}

#[tokio::test]
async fn no_spelling_gets_around_a_rule() {
    let rules = format!(
        "- match:\n  - uri: {{prefix: /admin}}\n  directResponse: {{status: 403}}\n{TO_BLUE}"
    );
    let mut shop = Shop::open(&rules).await;
    let mut http2 = Client::h2c(shop.gateway.address("http")).await.unwrap();
    for path in [
        "/admin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/x/%2e%2E/admin",
        "/../admin",
        "/%61dmin",
        "/x/..//../admin/",
    ] {
        assert_eq!(shop.get(path).await.status, 403, "{path}");
        assert_eq!(http2.get(HOST, path).await.status, 403, "{path} over HTTP/2");
    }
    for path in ["/x/..;/admin", "/x%2f..%2fadmin", "/x\\..\\admin", "/.;/admin", "/%5cadmin"] {
        assert_eq!(http2.get(HOST, path).await.status, 400, "{path}");
        assert_eq!(shop.connect().await.get(HOST, path).await.status, 400, "{path}");
    }
    assert_eq!(shop.blue.seen().requests, 0);
    assert_eq!(http2.get(HOST, "/x").await.status, 200);
}

/// Paths that are refused, and the rule.
const REFUSED: [(&str, &str); 14] = [
    ("/a%2fb", "path_escape_refused"),
    ("/a%2Fb", "path_escape_refused"),
    ("/a%5cb", "path_escape_refused"),
    ("/a%00", "path_escape_refused"),
    ("/a\\b", "path_backslash_refused"),
    ("/.;/a", "path_dot_segment_parameter"),
    ("/a/..;/b", "path_dot_segment_parameter"),
    ("/a/..;b=c", "path_dot_segment_parameter"),
    ("/a/%2e%2e%3bb/c", "path_dot_segment_parameter"),
    ("/a%", "path_escape_malformed"),
    ("/a%2", "path_escape_malformed"),
    ("/a%zz/b", "path_escape_malformed"),
    ("/\u{e9}", "path_byte_refused"),
    ("/a?\u{e9}", "query_byte_refused"),
];

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_400() {
    let mut scene = Scene::open().await;
    for (path, rule) in REFUSED {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        scene.refused(&head, 400, rule).await;
    }
    scene
        .refused(&format!("GET * HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), 400, "path_not_absolute")
        .await;
}

#[tokio::test]
async fn the_same_over_http2_leaves_the_other_streams_alone() {
    let mut scene = Scene::open().await;
    let mut client = Client::h2c(scene.address).await.unwrap();
    for (path, rule) in REFUSED {
        assert_eq!(
            http2_exchange(scene.address, &http2_fields(path, &[])).await,
            Http2Answer::Status(400)
        );
        let reply = client.get(HOST, path).await;
        assert_eq!((reply.status.as_u16(), reply.header("connection")), (400, ""), "{path}");
        for _ in 0..2 {
            let line = scene.gateway.access_line().await;
            assert!(line.contains(&format!("HTTP/2\" 400 DPE {rule} ")), "{path}: {line}");
        }
    }
    assert_eq!(client.get(HOST, "/neighbour").await.status, 200);
    scene.only_neighbours(1).await;
}

#[tokio::test]
async fn a_host_is_exactly_one_and_valid() {
    let mut scene = Scene::open().await;
    for (fields, rule) in [
        ("x-a: 1\r\n", "host_missing"),
        ("host:\r\n", "host_missing"),
        ("host: shop.example\r\nhost: shop.example\r\n", "host_repeated"),
        ("host: shop.example\r\nHost: other.example\r\n", "host_repeated"),
        ("host: shop.example, other.example\r\n", "host_invalid"),
        ("host: user@shop.example\r\n", "host_userinfo_refused"),
        ("host: shop..example\r\n", "host_invalid"),
        ("host: shop.example/\r\n", "host_invalid"),
        ("host: \u{fc}.example\r\n", "host_invalid"),
        ("host: [::1\r\n", "host_invalid"),
        ("host: shop.example:\r\n", "host_port_invalid"),
        ("host: shop.example:80a\r\n", "host_port_invalid"),
        ("host: shop.example:65536\r\n", "host_port_invalid"),
    ] {
        scene.refused(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), 400, rule).await;
    }
    let userinfo = "GET http://user@shop.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    scene.refused(userinfo, 400, "host_userinfo_refused").await;
    let scheme = "GET javascript://shop.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    scene.refused(scheme, 400, "scheme_refused").await;
    let two_in_1_0 = "GET / HTTP/1.0\r\nhost: shop.example\r\nhost: shop.example\r\n\r\n";
    let reply = RawConnection::exchange(scene.address, two_in_1_0).await;
    assert!(reply.starts_with("HTTP/1.0 400 "), "{reply}");
}

#[tokio::test]
async fn a_host_of_any_case_with_port_and_dot_is_routed() {
    let mut scene = Scene::open().await;
    for host in ["SHOP.example", "shop.example:80", "shop.example.", "Shop.Example.:8080"] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert!(RawConnection::exchange(scene.address, request).await.starts_with("HTTP/1.1 200 "));
        let head = scene.blue.next_head().await;
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn fields_that_can_be_read_in_two_ways_are_refused() {
    let mut scene = Scene::open().await;
    for (fields, status, rule) in [
        ("x_user: root\r\n", 400, "header_underscore_refused"),
        ("content_length: 5\r\n", 400, "header_underscore_refused"),
        ("content-length: 0000\r\n", 400, "content_length_invalid"),
        ("transfer-encoding: gzip, chunked\r\n", 400, "transfer_encoding_refused"),
        ("transfer-encoding: identity, chunked\r\n", 400, "transfer_encoding_refused"),
        ("expect: tea\r\n", 417, "expectation_refused"),
        ("expect: 100-continue, tea\r\n", 417, "expectation_refused"),
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n");
        let head = if fields.contains("chunked") { head + "0\r\n\r\n" } else { head };
        scene.refused(&head, status, rule).await;
    }
}

#[tokio::test]
async fn fields_over_http2_keep_to_its_rules() {
    const MALFORMED: Http2Answer = Http2Answer::Reset(1);
    let mut scene = Scene::open().await;
    for (further, answer) in [
        (&[("x-a", "1")][..], Http2Answer::Status(200)),
        (&[("te", "trailers")], Http2Answer::Status(200)),
        (&[("host", "SHOP.example.:80")], Http2Answer::Status(200)),
        (&[("host", "other.example")], Http2Answer::Status(400)),
        (&[("host", "shop.example:81")], Http2Answer::Status(400)),
        (&[("host", HOST), ("host", HOST)], Http2Answer::Status(400)),
        (&[("x_a", "1")], Http2Answer::Status(400)),
        (&[("x-a", " 1")], Http2Answer::Status(400)),
        (&[("x-a", "1\t")], Http2Answer::Status(400)),
        (&[("content-length", "00")], Http2Answer::Status(400)),
        (&[("content-length", "0"), ("content-length", "0")], Http2Answer::Status(400)),
        // What the HTTP/2 library refuses itself.
        (&[("te", "gzip")], MALFORMED),
        (&[("connection", "close")], MALFORMED),
        (&[("keep-alive", "5")], MALFORMED),
        (&[("proxy-connection", "close")], MALFORMED),
        (&[("transfer-encoding", "chunked")], MALFORMED),
        (&[("upgrade", "h2c")], MALFORMED),
        (&[(":path", "/twice")], MALFORMED),
        (&[(":status", "200")], MALFORMED),
    ] {
        let fields = http2_fields("/neighbour", further);
        assert_eq!(http2_exchange(scene.address, &fields).await, answer, "{further:?}");
    }
    for (authority, scheme) in
        [("user@shop.example", "http"), ("a.example,b.example", "http"), (HOST, "javascript")]
    {
        let fields =
            [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", "/")];
        let answer = http2_exchange(scene.address, &fields).await;
        assert_eq!(answer, Http2Answer::Status(400), "{authority} {scheme}");
    }
    let mut client = Client::h2c(scene.address).await.unwrap();
    assert_eq!(client.call(Call::get(HOST, "/").header("expect", "tea")).await.status, 417);
    scene.only_neighbours(3).await;
}

#[tokio::test]
async fn a_rewrite_uncovers_no_dot_segment() {
    let rules = "- match:\n  - uri: {prefix: /foo}\n  rewrite: {uri: /}\n  \
         route:\n  - destination: {host: blue.example}\n";
    let mut scene = Scene::open_with(rules).await;
    assert_eq!(scene.line_for("/foo../a").await, "GET /a HTTP/1.1");
    assert!(scene.gateway.access_line().await.contains("\"GET /foo../a HTTP/1.1\" 200 "));
    assert_eq!(scene.line_for("/x/../foo/a").await, "GET /a HTTP/1.1");
    assert!(scene.gateway.access_line().await.contains("\"GET /x/../foo/a HTTP/1.1\" 200 "));
    let mut client = Client::http1(scene.address).await.unwrap();
    assert_eq!(client.get(HOST, "/foo..;/a").await.status, 400);
    let line = scene.gateway.access_line().await;
    assert!(line.contains("\"GET /foo..;/a HTTP/1.1\" 400 - rewritten_path_refused "), "{line}");
    assert!(scene.blue.is_quiet());
}

/// Sets `:path` to what `x-set-path` says, and `:authority` to what `x-set-host` says.
pub const SETTER: &str = r#"(module
    (import "env" "proxy_get_header_map_value"
        (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value"
        (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "x-set-path:pathx-set-host:authority")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
    (func $copy (param $from i32) (param $to i32) (param $length i32)
        (if (i32.eqz (call $get (i32.const 0) (local.get $from) (i32.const 10) (i32.const 64) (i32.const 68)))
            (then (drop (call $set (i32.const 0) (local.get $to) (local.get $length)
                (i32.load (i32.const 64)) (i32.load (i32.const 68)))))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $copy (i32.const 0) (i32.const 10) (i32.const 5))
        (call $copy (i32.const 15) (i32.const 25) (i32.const 10))
        (i32.const 0)))"#;

#[tokio::test]
async fn what_a_plugin_sets_is_held_to_the_same_rules() {
    let mut blue = shown_upstream().await;
    let plugin = wasm_plugin("setter", "./setter.wasm", "");
    let directory = directory_with(&join(&[manifests(TO_BLUE, &blue), plugin]));
    std::fs::write(directory.path().join("config/setter.wasm"), module(SETTER)).unwrap();
    let mut gateway = Gateway::start_in(directory, &[]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for (set, line) in [("/x/../y%7e", "GET /y~ HTTP/1.1"), ("/z?a=%2f", "GET /z?a=%2f HTTP/1.1")] {
        let call = Call::get(HOST, "/").header("x-set-path", set);
        assert_eq!(client.call(call).await.status, 200, "{set}");
        assert_eq!(blue.next_head().await.lines().next(), Some(line));
    }
    for (name, value, details) in [
        ("x-set-path", "/a%2fb", "plugin_path_refused"),
        ("x-set-path", "/..;/b", "plugin_path_refused"),
        ("x-set-path", "*", "plugin_path_refused"),
        ("x-set-host", "a.example,b.example", "plugin_host_refused"),
    ] {
        let reply = client.call(Call::get(HOST, "/").header(name, value)).await;
        assert_eq!((reply.status.as_u16(), reply.header("connection")), (400, ""), "{value}");
        let line = gateway.access_line_with(" 400 ").await;
        assert!(line.contains(&format!("\" 400 - {details} ")), "{line}");
    }
    assert!(blue.is_quiet());
}
