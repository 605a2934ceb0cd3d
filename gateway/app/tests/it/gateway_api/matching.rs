//! Which backend a request gets to: hosts, paths, headers, methods, parameters, weights.

use std::collections::BTreeMap;

use portcullis_testkit::Call;

use super::*;

/// Sends requests, each written as method, host, path and header, and checks who replies; `404` for nobody.
async fn check(estate: &mut Estate, cases: &[(&str, &str)]) {
    for (request, who) in cases {
        let mut words = request.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (method, host, path, header) = (word(), word(), word(), word());
        let mut call = Call::new(method, host, path);
        if let Some((name, value)) = header.split_once(':') {
            call = call.header(name, value);
        }
        let reply = estate.client.call(call).await;
        let got = match reply.upstream() {
            "" => reply.status.as_u16().to_string(),
            upstream => upstream.to_owned(),
        };
        assert_eq!(got, *who, "{request}");
    }
}

#[tokio::test]
async fn one_route_takes_every_request() {
    let mut estate = Estate::with_rules(&[TO_V1]).await;
    check(&mut estate, &[("GET a.test /", "v1"), ("POST 10.0.0.1 /x/y?z", "v1")]).await;
    let reply = estate.client.get("a.test", "/").await;
    assert_eq!(reply.header("x-portcullis-route"), "HTTPRoute/default/r/rules[0]");
    assert_eq!(reply.header("x-portcullis-cluster"), "outbound|80||v1.default.svc.cluster.local");
}

#[tokio::test]
async fn exact_paths_and_whole_segments() {
    let mut estate = Estate::with_rules(&[
        "matches: [{path: {type: Exact, value: /one}}], backendRefs: [{name: v1, port: 80}]",
        "matches: [{path: {type: PathPrefix, value: /two/}}], backendRefs: [{name: v2, port: 80}]",
        "name: deep, matches: [{path: {value: /two/three}}], backendRefs: [{name: v3, port: 80}]",
    ])
    .await;
    let cases = [
        ("GET a.test /one", "v1"),
        ("GET a.test /one?q=/", "v1"),
        ("GET a.test /one/", "404"),
        ("GET a.test /One", "404"),
        ("GET a.test /two", "v2"),
        ("GET a.test /two/", "v2"),
        ("GET a.test /two/x", "v2"),
        ("GET a.test /twox", "404"),
        ("GET a.test /two/three", "v3"),
        ("GET a.test /two/three/x", "v3"),
        ("GET a.test /two/threex", "v2"),
        ("GET a.test /", "404"),
    ];
    check(&mut estate, &cases).await;
    let reply = estate.client.get("a.test", "/two/three").await;
    assert_eq!(reply.header("x-portcullis-route"), "HTTPRoute/default/r/rules[deep]");
}

#[tokio::test]
async fn the_order_in_which_rules_are_written_does_not_matter() {
    let mut estate = Estate::with_rules(&[
        "matches: [{path: {value: /}}], backendRefs: [{name: v1, port: 80}]",
        "matches: [{path: {value: /a}}, {path: {type: Exact, value: /b}}], backendRefs: [{name: v2, port: 80}]",
        "matches: [{path: {value: /a/b}}, {path: {type: RegularExpression, value: '/a[0-9]+'}}], backendRefs: [{name: v3, port: 80}]",
    ])
    .await;
    let cases = [
        ("GET a.test /a", "v2"),
        ("GET a.test /a/c", "v2"),
        ("GET a.test /a/b", "v3"),
        ("GET a.test /a12", "v3"),
        ("GET a.test /a12/x", "v1"),
        ("GET a.test /b", "v2"),
        ("GET a.test /b/", "v1"),
    ];
    check(&mut estate, &cases).await;
}

#[tokio::test]
async fn headers_match_exactly_or_by_expression_and_all_of_them() {
    let mut estate = Estate::with_rules(&[
        "matches: [{headers: [{name: version, value: one}]}], backendRefs: [{name: v1, port: 80}]",
        "matches: [{headers: [{name: Version, type: RegularExpression, value: 't.+'}]}], backendRefs: [{name: v2, port: 80}]",
        "matches: [{headers: [{name: version, value: one}, {name: color, value: blue}]}, {headers: [{name: color, value: red}]}], backendRefs: [{name: v3, port: 80}]",
    ])
    .await;
    let cases = [
        ("GET a.test / version:one", "v1"),
        ("GET a.test / VERSION:one", "v1"),
        ("GET a.test / version:two", "v2"),
        ("GET a.test / version:a-two", "404"),
        ("GET a.test / version:One", "404"),
        ("GET a.test / color:red", "v3"),
        ("GET a.test / color:blue", "404"),
        ("GET a.test /", "404"),
    ];
    check(&mut estate, &cases).await;
    let both = Call::get("a.test", "/").header("version", "one").header("color", "blue");
    assert_eq!(estate.client.call(both).await.upstream(), "v3", "two headers are more than one");
}

#[tokio::test]
async fn methods_and_parameters_match() {
    let mut estate = Estate::with_rules(&[
        "matches: [{method: POST}], backendRefs: [{name: v1, port: 80}]",
        "matches: [{method: GET, path: {value: /get}}], backendRefs: [{name: v2, port: 80}]",
        "matches: [{queryParams: [{name: animal, value: whale}]}, {queryParams: [{name: animal, type: RegularExpression, value: 'd.*'}, {name: color, value: red}]}], backendRefs: [{name: v3, port: 80}]",
    ])
    .await;
    let cases = [
        // It has no rule for POST there, so the wider one takes it.
        ("POST a.test /get", "v1"),
        ("POST a.test /", "v1"),
        ("GET a.test /get/x", "v2"),
        ("GET a.test /?animal=whale", "v3"),
        ("GET a.test /?x=y&animal=whale&z", "v3"),
        ("GET a.test /?animal=Whale", "404"),
        ("GET a.test /?Animal=whale", "404"),
        ("GET a.test /?animal=dog&color=red", "v3"),
        ("GET a.test /?animal=dog", "404"),
        ("GET a.test /?animal=seal&animal=whale", "404"),
        ("GET a.test /", "404"),
    ];
    check(&mut estate, &cases).await;
}

#[tokio::test]
async fn hosts_of_several_routes_stand_beside_each_other() {
    let mut estate = Estate::open(&[
        api_gateway(&[HTTP]),
        http_route("wide", "'*.example.test'", &[TO_V1]),
        http_route("exact", "shop.example.test, other.test", &[TO_V2]),
        http_route(
            "deep",
            "'*.deep.example.test'",
            &["matches: [{path: {value: /only}}], backendRefs: [{name: v3, port: 80}]"],
        ),
    ])
    .await;
    let cases = [
        ("GET shop.example.test /", "v2"),
        ("GET SHOP.example.test:8080 /", "v2"),
        ("GET other.test /", "v2"),
        ("GET a.example.test /", "v1"),
        ("GET a.b.example.test /", "v1"),
        ("GET example.test /", "404"),
        ("GET unknown.test /", "404"),
        ("GET a.deep.example.test /only", "v3"),
        // The most specific host has the request, and there is no way back to a wider one.
        ("GET a.deep.example.test /", "404"),
    ];
    check(&mut estate, &cases).await;
}

#[tokio::test]
async fn routes_on_one_host_are_one_table() {
    let mut estate = Estate::open(&[
        api_gateway(&[HTTP]),
        http_route("a", "one.test", &["matches: [{path: {value: /}}], backendRefs: [{name: v1, port: 80}]"]),
        http_route("b", "one.test", &["matches: [{path: {value: /b}}, {path: {value: /}, method: PUT}], backendRefs: [{name: v2, port: 80}]"]),
    ])
    .await;
    let cases = [
        ("GET one.test /", "v1"),
        ("GET one.test /b/c", "v2"),
        ("PUT one.test /x", "v2"),
        ("GET one.test /bc", "v1"),
    ];
    check(&mut estate, &cases).await;
}

#[tokio::test]
async fn weights_share_requests_and_what_is_invalid_has_its_share() {
    let mut estate = Estate::with_rules(&[
        "matches: [{path: {value: /weights}}], backendRefs: [{name: v1, port: 80, weight: 70}, {name: v2, port: 80, weight: 30}, {name: v3, port: 80, weight: 0}]",
        "matches: [{path: {value: /half}}], backendRefs: [{name: v1, port: 80}, {name: none, port: 80}]",
        "matches: [{path: {value: /kind}}], backendRefs: [{kind: Pod, name: v1, port: 80}]",
        "matches: [{path: {value: /port}}], backendRefs: [{name: v1, port: 81}]",
        "matches: [{path: {value: /far}}], backendRefs: [{name: v1, namespace: far, port: 80}]",
        "matches: [{path: {value: /nothing}}]",
        "matches: [{path: {value: /zero}}], backendRefs: [{name: v1, port: 80, weight: 0}]",
        "matches: [{path: {value: /empty}}], backendRefs: [{name: empty, port: 80}]",
    ])
    .await;
    for (path, status) in [
        ("/kind", 500),
        ("/port", 500),
        ("/far", 500),
        ("/nothing", 500),
        ("/zero", 500),
        ("/empty", 503),
    ] {
        assert_eq!(estate.client.get("a.test", path).await.status, status, "{path}");
    }
    let mut tally = BTreeMap::new();
    for _ in 0..400 {
        let weighted = estate.client.get("a.test", "/weights").await;
        *tally.entry(weighted.upstream().to_owned()).or_insert(0) += 1;
        let half = estate.client.get("a.test", "/half").await;
        *tally.entry(half.status.as_u16().to_string()).or_insert(0) += 1;
    }
    let near = |name: &str, wanted: i32| (tally[name] - wanted).abs() < 80;
    assert!(
        near("v1", 280) && near("v2", 120) && near("500", 200) && near("200", 200),
        "{tally:?}"
    );
    assert!(!tally.contains_key("v3"), "{tally:?}");
}
