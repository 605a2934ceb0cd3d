//! Which rule takes a request, and what the client and the upstream see of it.

use portcullis_testkit::manifests::{
    gateway, http_gateway, http_server, join, service_entry, service_entry_with_labels,
    subsets_by_version, virtual_service,
};
use portcullis_testkit::{Call, Client, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE, backends};

/// Rules that answer with their own name, each with one match.
fn naming(matches: &[(&str, &str)]) -> String {
    let rule = |(name, condition): &(&str, &str)| {
        format!(
            "- name: {name}\n  match:\n  - {condition}\n  directResponse: {{status: 200, body: {{string: {name}}}}}\n"
        )
    };
    matches.iter().map(rule).collect()
}

#[tokio::test]
async fn the_first_rule_whose_path_matches_takes_the_request() {
    let rules = naming(&[
        ("exact", "uri: {exact: /cart}"),
        ("prefix", "uri: {prefix: /ca}"),
        ("rest", "uri: {prefix: /}"),
    ]);
    let mut shop = Shop::open(&rules).await;
    for (path, rule) in [
        ("/cart", "exact"),
        ("/cart?a=b", "exact"),
        ("/cart/", "prefix"),
        ("/cash", "prefix"),
        ("/CART", "rest"),
        ("/", "rest"),
    ] {
        assert_eq!(shop.get(path).await.text(), rule, "{path}");
    }
}

#[tokio::test]
async fn methods_are_compared_with_their_case() {
    let mut shop =
        Shop::open(&naming(&[("post", "method: {exact: POST}"), ("any", "uri: {prefix: /}")]))
            .await;
    for (method, rule) in [("POST", "post"), ("GET", "any"), ("post", "any"), ("PURGE", "any")] {
        let reply = shop.client.call(Call::new(method, HOST, "/")).await;
        assert_eq!(reply.text(), rule, "{method}");
    }
}

#[tokio::test]
async fn headers_match_by_value_prefix_and_presence() {
    let rules = naming(&[
        ("exact", "headers: {x-team: {exact: red}}"),
        ("prefix", "headers: {x-team: {prefix: re}}"),
        ("present", "headers: {x-team: {}}"),
        ("none", "uri: {prefix: /}"),
    ]);
    let mut shop = Shop::open(&rules).await;
    for (value, rule) in
        [("red", "exact"), ("reed", "prefix"), ("blue", "present"), ("Red", "present")]
    {
        assert_eq!(shop.get_with("/", "X-Team", value).await.text(), rule, "{value}");
    }
    assert_eq!(shop.get("/").await.text(), "none");
}

#[tokio::test]
async fn every_condition_of_a_match_has_to_hold_and_any_match_of_a_rule() {
    let rules = "- match:\n  - uri: {prefix: /a}\n    method: {exact: POST}\n  - headers: {x-a: {exact: \"1\"}}\n  \
         directResponse: {status: 200}\n";
    let mut shop = Shop::open(rules).await;
    assert_eq!(shop.client.call(Call::post(HOST, "/a", "")).await.status, 200);
    assert_eq!(shop.get_with("/b", "x-a", "1").await.status, 200);
    assert_eq!(shop.get("/a").await.status, 404);
    assert_eq!(shop.client.call(Call::post(HOST, "/b", "")).await.status, 404);
}

#[tokio::test]
async fn the_authority_is_matched_without_case_and_port() {
    let rules =
        naming(&[("eu", "authority: {exact: eu.example}"), ("de", "authority: {prefix: de.}")]);
    let manifests =
        join(&[http_gateway("shop", 80, &["*"]), virtual_service("shop", "shop", &["*"], &rules)]);
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("EU.example:8080", "/").await.text(), "eu");
    assert_eq!(client.get("de.example", "/").await.text(), "de");
    assert_eq!(client.get("fr.example", "/").await.status, 404);
}

#[tokio::test]
async fn weights_share_the_requests() {
    let rules = "- route:\n  - destination: {host: blue.example}\n    weight: 75\n  \
         - destination: {host: green.example}\n    weight: 25\n";
    let mut shop = Shop::open(rules).await;
    for _ in 0..400 {
        assert_eq!(shop.get("/").await.status, 200);
    }
    let (blue, green) = (shop.blue.seen().requests, shop.green.seen().requests);
    assert_eq!(blue + green, 400);
    // Six standard deviations either way.
    assert!((48..152).contains(&green), "blue {blue}, green {green}");
}

#[tokio::test]
async fn a_destination_of_weight_zero_gets_nothing() {
    let rules = "- route:\n  - destination: {host: blue.example}\n    weight: 100\n  \
         - destination: {host: green.example}\n    weight: 0\n";
    let mut shop = Shop::open(rules).await;
    for _ in 0..50 {
        assert_eq!(shop.get("/").await.upstream(), "blue");
    }
}

#[tokio::test]
async fn a_subset_is_chosen_by_its_labels() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    let rules = "- match:\n  - uri: {prefix: /new}\n  route:\n  - destination: {host: app.example, subset: v2}\n\
         - route:\n  - destination: {host: app.example, subset: v1}\n";
    let endpoints = [(one.address(), "version: v1"), (two.address(), "version: v2")];
    let gateway = Gateway::start(&join(&[
        crate::shop::manifests(rules),
        service_entry_with_labels("app", "app.example", 80, &endpoints),
        subsets_by_version("app", "app.example", &["v1", "v2"]),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(client.get(HOST, "/").await.upstream(), "one");
        let reply = client.get(HOST, "/new").await;
        assert_eq!(reply.upstream(), "two");
        assert_eq!(reply.header("x-portcullis-cluster"), "outbound|80|v2|app.example");
    }
}

/// A VirtualService for these hosts that answers with its own name.
fn answering(name: &str, hosts: &[&str]) -> String {
    virtual_service(name, "shop", hosts, &naming(&[(name, "uri: {prefix: /}")]))
}

#[tokio::test]
async fn the_most_specific_host_takes_the_request() {
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        answering("any", &["*"]),
        answering("wild", &["*.example.com"]),
        answering("deep", &["*.shop.example.com"]),
        answering("exact", &["a.shop.example.com"]),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for (host, service) in [
        ("a.shop.example.com", "exact"),
        ("A.Shop.Example.com:80", "exact"),
        ("b.shop.example.com", "deep"),
        ("shop.example.com", "wild"),
        ("example.com", "any"),
    ] {
        assert_eq!(client.get(host, "/").await.text(), service, "{host}");
    }
}

#[tokio::test]
async fn only_hosts_that_gateway_and_service_share_are_served() {
    let gateway = Gateway::start(&join(&[
        gateway("shop", &[http_server("http", 80, &["*.example.com", "exact.example.org"])]),
        answering("any", &["*"]),
        answering("wide", &["*.shop.example.com", "other.example.org"]),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("exact.example.org", "/").await.text(), "any");
    assert_eq!(client.get("a.shop.example.com", "/").await.text(), "wide");
    assert_eq!(client.get("a.example.com", "/").await.text(), "any");
    assert_eq!(client.get("example.com", "/").await.status, 404);
    assert_eq!(client.get("other.example.org", "/").await.status, 404);
}

/// The rules of a VirtualService that was created at a time.
fn created(name: &str, at: &str, path: &str) -> String {
    answering_at(name, path).replace(
        &format!("name: {name}\nspec:"),
        &format!("name: {name}\n  creationTimestamp: \"{at}\"\nspec:"),
    )
}

fn answering_at(name: &str, path: &str) -> String {
    virtual_service(name, "shop", &[HOST], &naming(&[(name, &format!("uri: {{prefix: {path}}}"))]))
}

#[tokio::test]
async fn services_on_one_host_are_tried_in_creation_order() {
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        created("younger", "2026-02-01T00:00:00Z", "/a"),
        created("older", "2026-01-01T00:00:00Z", "/a"),
        created("others", "2026-03-01T00:00:00Z", "/b"),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/a").await.text(), "older");
    assert_eq!(client.get(HOST, "/b").await.text(), "others");
}

#[tokio::test]
async fn a_catch_all_of_an_older_service_leaves_the_younger_ones_their_paths() {
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        created("older", "2026-01-01T00:00:00Z", "/"),
        created("younger", "2026-02-01T00:00:00Z", "/a"),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/a").await.text(), "younger");
    assert_eq!(client.get(HOST, "/b").await.text(), "older");
}

#[tokio::test]
async fn what_no_rule_takes_is_404_and_logged_as_no_route() {
    let mut shop = Shop::open(&naming(&[("a", "uri: {exact: /a}")])).await;
    let reply = shop.get("/b").await;
    assert_eq!((reply.status.as_u16(), reply.header("x-portcullis-generation")), (404, "1"));
    assert!(reply.headers.get("x-portcullis-route").is_none());
    let line = shop.gateway.access_line().await;
    assert!(line.contains(" 404 NR route_not_found "), "{line}");
    assert_eq!(shop.client.get("stranger.example", "/a").await.status, 404);
}

#[tokio::test]
async fn a_missing_destination_is_503_for_its_own_rule_alone() {
    let rules = format!(
        "- match:\n  - uri: {{prefix: /missing}}\n  route:\n  - destination: {{host: nowhere.example}}\n{TO_BLUE}"
    );
    let mut shop = Shop::open(&rules).await;
    assert_eq!(shop.get("/missing").await.status, 503);
    let line = shop.gateway.access_line().await;
    assert!(line.contains(" 503 NC cluster_not_found "), "{line}");
    assert_eq!(shop.get("/").await.upstream(), "blue");
}

#[tokio::test]
async fn a_service_without_endpoints_is_503_no_healthy_upstream() {
    let mut gateway = Gateway::start(&join(&[
        crate::shop::manifests("- route:\n  - destination: {host: empty.example}\n"),
        service_entry("empty", "empty.example", 80, &[]),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.get(HOST, "/").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "no healthy upstream"));
    let line = gateway.access_line().await;
    assert!(line.contains(" 503 UH no_healthy_upstream "), "{line}");
}

#[tokio::test]
async fn debug_headers_tell_what_served() {
    let rules = format!(
        "- name: named\n  match:\n  - uri: {{exact: /named}}\n  directResponse: {{status: 204}}\n{TO_BLUE}"
    );
    let mut shop = Shop::open(&rules).await;
    let reply = shop.get("/").await;
    assert_eq!(reply.header("x-portcullis-generation"), "1");
    assert_eq!(reply.header("x-portcullis-route"), "VirtualService/default/shop/http[1]");
    assert_eq!(reply.header("x-portcullis-cluster"), "outbound|80||blue.example");
    assert_eq!(reply.header("x-portcullis-upstream"), shop.blue.address().to_string());
    let reply = shop.get("/named").await;
    assert_eq!(reply.header("x-portcullis-route"), "VirtualService/default/shop/http[named]");
    assert!(reply.headers.get("x-portcullis-cluster").is_none());
}

#[tokio::test]
async fn several_gateways_share_a_port() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let to_green = "- route:\n  - destination: {host: green.example}\n";
    let gateway = Gateway::start(&join(&[
        http_gateway("one", 80, &["one.example"]),
        http_gateway("two", 80, &["two.example"]),
        virtual_service("one", "one", &["*"], TO_BLUE),
        virtual_service("two", "two", &["*"], to_green),
        backends(&blue, &green),
    ]))
    .await;
    assert_eq!(gateway.ready()["listeners"].as_array().unwrap().len(), 2);
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("one.example", "/").await.upstream(), "blue");
    assert_eq!(client.get("two.example", "/").await.upstream(), "green");
    assert_eq!(client.get("three.example", "/").await.status, 404);
}
