//! `--compat istio`: each thing in which the gateway is safer than Istio, as it is by itself and switched back; and
//! what `--topology alb` makes of rules. Heads have their own tests in `settings`, tokens in `request_authentication`.

use portcullis_testkit::manifests::{
    authorization_policy, edge_policy, gateway, http_server, join, service_entry,
};
use portcullis_testkit::{Call, Client, Fault, FaultyUpstream, Reply, Upstream};

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop, TO_BLUE, backends};

const ISTIO: [&str; 2] = ["--compat", "istio"];

/// Rewrites whose joint has two slashes, of both kinds.
const REWRITES: &str = "\
- match: [{uri: {prefix: /moved}}]
  redirect: {prefixRewrite: /}
- match: [{uri: {prefix: /foo}}]
  route: [{destination: {host: blue.example}}]
  rewrite: {uri: /}
- match: [{uri: {prefix: /cat}}]
  route: [{destination: {host: blue.example}}]
  rewrite: {uri: /dog}
";

/// The same with segments, which Istio mends itself.
const SEGMENTS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: api}
spec:
  gatewayClassName: portcullis
  listeners: [{name: api, port: 81, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  parentRefs: [{name: api}]
  rules:
  - matches: [{path: {value: /foo}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{group: networking.istio.io, kind: Hostname, name: blue.example, port: 80}]
";

/// The shop with these rules and more manifests.
async fn open(rules: &str, more: &str, arguments: &[&str]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let manifests = [shop::manifests(rules), backends(&blue, &green), more.to_owned()];
    let gateway = Gateway::start_with(&join(&manifests), arguments).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

#[tokio::test]
async fn a_rewritten_prefix_has_one_slash_at_its_joint_or_what_is_written() {
    for (arguments, joint) in [(&[][..], "/"), (&ISTIO, "//")] {
        let mut shop = open(REWRITES, SEGMENTS, arguments).await;
        let path = |reply: Reply| reply.json()["path"].as_str().unwrap().to_owned();
        assert_eq!(path(shop.get("/foo/bar?a").await), format!("{joint}bar?a"));
        assert_eq!(path(shop.get("/foo").await), "/");
        assert_eq!(path(shop.get("/cattle").await), "/dogtle");
        let moved = shop.get("/moved/x").await;
        assert_eq!(moved.header("location"), format!("http://{HOST}{joint}x"));
        let mut client = Client::http1(shop.gateway.address("api")).await.unwrap();
        assert_eq!(path(client.get(HOST, "/foo/bar").await), "/bar");
    }
}

#[tokio::test]
async fn a_policy_that_merges_slashes_goes_before() {
    let mut shop = Shop::open_with(REWRITES, &ISTIO).await;
    let merging = edge_policy("merging", "{path: {mergeSlashes: true}}");
    let manifests = join(&[shop.manifests(REWRITES), merging]);
    shop.gateway.apply(&manifests).await;
    assert_eq!(shop.get("/foo/bar").await.json()["path"], "/bar");
}

#[tokio::test]
async fn what_strangers_say_of_their_way_is_replaced_or_appended_to_and_never_believed() {
    let denied = "{action: DENY, rules: [{from: [{source: {remoteIpBlocks: [192.0.2.7]}}]}]}";
    for (arguments, chain) in [(&[][..], "127.0.0.1"), (&ISTIO, "192.0.2.7,127.0.0.1")] {
        let mut shop = Shop::open_with(TO_BLUE, arguments).await;
        let manifests = join(&[shop.manifests(TO_BLUE), authorization_policy("denied", denied)]);
        shop.gateway.apply(&manifests).await;
        let call = Call::get(HOST, "/")
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "evil.example");
        let reply = shop.client.call(call).await;
        assert_eq!(reply.status, 200);
        let headers = &reply.json()["headers"];
        assert_eq!(headers["x-forwarded-for"], chain, "{arguments:?}");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert!(headers["x-forwarded-host"].is_null());
    }
}

#[tokio::test]
async fn repeats_have_a_bound_of_ours_or_what_is_written_alone() {
    const REQUESTS: usize = 60;
    let rules = "- route: [{destination: {host: blue.example}}]\n  retries: {attempts: 1, retryOn: 5xx, backoff: 1ms}\n";
    for (arguments, all) in [(&[][..], false), (&ISTIO, true)] {
        let upstream = FaultyUpstream::always(Fault::Status(503)).await;
        let entry = service_entry("blue", "blue.example", 80, &[upstream.address]);
        let manifests = join(&[shop::manifests(rules), entry]);
        let gateway = Gateway::start_with(&manifests, arguments).await;
        let mut client = Client::http1(gateway.address("http")).await.unwrap();
        for _ in 0..REQUESTS {
            assert_eq!(client.get(HOST, "/").await.status, 503);
        }
        assert_eq!(upstream.requests() == 2 * REQUESTS, all, "{}", upstream.requests());
    }
}

#[tokio::test]
async fn behind_an_alb_rules_see_what_its_clients_used() {
    // Loopback plays the load balancer's subnet, which the preset takes for none.
    const ALB: [&str; 4] = ["--topology", "alb", "--trusted-cidr", "127.0.0.0/8"];
    const BY_SCHEME: &str = "\
- match: [{scheme: {exact: https}}]
  route: [{destination: {host: blue.example}}]
- route: [{destination: {host: green.example}}]
";
    let said = |scheme| {
        Call::get(HOST, "/")
            .header("x-forwarded-proto", scheme)
            .header("x-forwarded-for", "192.0.2.7")
    };
    let denied = "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}], from: [{source: {remoteIpBlocks: [192.0.2.7]}}]}]}";
    let redirecting = http_server("plain", 82, &["*"]) + "  tls: {httpsRedirect: true}\n";
    let more = join(&[gateway("plain", &[redirecting]), authorization_policy("denied", denied)]);
    let mut shop = open(BY_SCHEME, &more, &ALB).await;
    assert_eq!(shop.client.call(said("https")).await.upstream(), "blue");
    assert_eq!(shop.client.call(said("http")).await.upstream(), "green");
    let admin = Call::get(HOST, "/admin").header("x-forwarded-for", "192.0.2.7");
    assert_eq!(shop.client.call(admin).await.status, 403);
    assert_eq!(shop.get("/admin").await.status, 200);
    // The redirect is for clients of the load balancer's plain listener alone.
    let mut plain = Client::http1(shop.gateway.address("plain")).await.unwrap();
    let reply = plain.call(said("http")).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (301, "https://shop.example/"));
    assert_eq!(plain.call(said("https")).await.status, 404);
}
