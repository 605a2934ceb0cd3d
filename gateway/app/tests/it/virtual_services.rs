//! VirtualServices from outside: what their rules match, delegates, and several of them on one host.

use portcullis_testkit::manifests::{
    gateway, http_gateway, http_server, join, request_authentication, virtual_service,
};
use portcullis_testkit::{Call, Client, Signer, TOKEN_AUDIENCE, TOKEN_ISSUER};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

/// Rules that answer with their own name, each with one match.
fn naming(matches: &[(&str, &str)]) -> String {
    let rule = |(name, condition): &(&str, &str)| {
        format!(
            "- name: {name}\n  match:\n  - {condition}\n  directResponse: {{status: 200, body: {{string: {name}}}}}\n"
        )
    };
    matches.iter().map(rule).collect()
}

/// A VirtualService without hosts.
fn delegate(name: &str, rules: &str) -> String {
    let text = virtual_service(name, "none", &["none"], rules);
    text.replace("  gateways: [none]\n", "").replace("  hosts: [\"none\"]\n", "")
}

#[tokio::test]
async fn regular_expressions_match_whole_texts() {
    let rules = naming(&[
        ("path", "uri: {regex: '/v[12]/items(/.*)?'}"),
        ("header", "headers: {x-user: {regex: 'a+b?'}}"),
        ("method", "method: {regex: 'PUT|PATCH'}"),
        ("query", "queryParams: {id: {regex: '[0-9]+'}}"),
        ("rest", "uri: {prefix: /}"),
    ]);
    let mut shop = Shop::open(&rules).await;
    for (path, rule) in [
        ("/v1/items", "path"),
        ("/v2/items/7", "path"),
        ("/v3/items", "rest"),
        ("/v1/items7", "rest"),
        ("/x/v1/items", "rest"),
        ("/?id=17", "query"),
        ("/?id=17x", "rest"),
    ] {
        assert_eq!(shop.get(path).await.text(), rule, "{path}");
    }
    for (value, rule) in [("aaab", "header"), ("a", "header"), ("ab ab", "rest"), ("b", "rest")] {
        assert_eq!(shop.get_with("/", "x-user", value).await.text(), rule, "{value}");
    }
    for (method, rule) in [("PATCH", "method"), ("PUTS", "rest")] {
        let reply = shop.client.call(Call::new(method, HOST, "/")).await;
        assert_eq!(reply.text(), rule, "{method}");
    }
}

#[tokio::test]
async fn what_must_not_be_there_and_what_the_query_says_decide() {
    let rules = naming(&[
        ("no-key", "uri: {prefix: /keys}\n    withoutHeaders: {x-key: {}}"),
        ("not-red", "uri: {prefix: /colours}\n    withoutHeaders: {x-colour: {exact: red}}"),
        ("exact", "queryParams: {page: {exact: '2'}}"),
        ("empty", "queryParams: {flag: {exact: ''}}"),
        ("present", "queryParams: {page: {}}"),
        ("case", "uri: {prefix: /Shop}\n    ignoreUriCase: true"),
        ("plain", "scheme: {exact: http}\n    port: 80"),
    ]);
    let mut shop = Shop::open(&rules).await;
    assert_eq!(shop.get("/keys").await.text(), "no-key");
    assert_eq!(shop.get_with("/keys", "x-key", "1").await.text(), "plain");
    assert_eq!(shop.get("/colours").await.text(), "not-red");
    assert_eq!(shop.get_with("/colours", "x-colour", "blue").await.text(), "not-red");
    assert_eq!(shop.get_with("/colours", "x-colour", "red").await.text(), "plain");
    for (path, rule) in [
        ("/?page=2", "exact"),
        ("/?a=b&page=2", "exact"),
        ("/?page=3&page=2", "present"),
        ("/?flag", "empty"),
        ("/?flag=", "empty"),
        ("/?flag=1", "plain"),
        ("/sHOP/cart", "case"),
        ("/shoe", "plain"),
    ] {
        assert_eq!(shop.get(path).await.text(), rule, "{path}");
    }
}

#[tokio::test]
async fn claims_of_a_verified_token_choose_the_rule() {
    let rules = naming(&[
        ("lead", "headers: {'@request.auth.claims[team][role]': {exact: lead}}"),
        ("bot", "headers: {'@request.auth.claims.kind': {prefix: bo}}"),
        ("unnamed", "withoutHeaders: {'@request.auth.claims.name': {}}"),
        ("named", "uri: {prefix: /}"),
    ]);
    let mut shop = Shop::open(&rules).await;
    let signer = Signer::ecdsa_p256("one");
    let policy = request_authentication(
        "tokens",
        &format!(
            "- issuer: {TOKEN_ISSUER}\n  audiences: [{TOKEN_AUDIENCE}]\n  jwks: '{}'\n",
            signer.key_set()
        ),
    );
    let manifests = join(&[shop.manifests(&rules), policy]);
    shop.gateway.apply(&manifests).await;
    for (more, rule) in [
        (r#","team":{"role":"lead"}"#, "lead"),
        (r#","team":{"role":"member"},"kind":["human","bot"]"#, "bot"),
        (r#","team":"lead""#, "unnamed"),
        (r#","name":"ann""#, "named"),
    ] {
        let token = signer.token(&format!(
            r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}","sub":"ann","exp":4102444800{more}}}"#
        ));
        let call = Call::get(HOST, "/").header("authorization", &format!("Bearer {token}"));
        assert_eq!(shop.client.call(call).await.text(), rule, "{more}");
    }
    assert_eq!(shop.get("/").await.text(), "unnamed", "without a token there is no claim");
    let forged = shop.get_with("/", "x-request.auth.claims.kind", "bot").await;
    assert_eq!(forged.text(), "unnamed");
}

#[tokio::test]
async fn a_delegates_rules_serve_within_the_rule_that_delegates() {
    let root = "- match:\n  - uri: {prefix: /api}\n  delegate: {name: inner}\n  headers: {response: {set: {x-by: root}}}\n\
         - route:\n  - destination: {host: blue.example}\n";
    let inner = "- match:\n  - uri: {prefix: /api/orders}\n  name: orders\n  directResponse: {status: 201}\n\
         - match:\n  - uri: {prefix: /other}\n  directResponse: {status: 202}\n\
         - match:\n  - method: {exact: POST}\n  directResponse: {status: 203}\n  headers: {}\n";
    let mut shop = Shop::open(root).await;
    let manifests = join(&[shop.manifests(root), delegate("inner", inner)]);
    shop.gateway.apply(&manifests).await;
    let orders = shop.get("/api/orders/7").await;
    assert_eq!((orders.status.as_u16(), orders.header("x-by")), (201, "root"));
    assert_eq!(orders.header("x-portcullis-route"), "VirtualService/default/inner/http[orders]");
    let post = shop.client.call(Call::post(HOST, "/api/x", "")).await;
    assert_eq!((post.status.as_u16(), post.headers.contains_key("x-by")), (203, false));
    // What the delegate does not take goes on to the rules behind.
    assert_eq!(shop.get("/api/x").await.upstream(), "blue");
    assert_eq!(shop.get("/other").await.upstream(), "blue");
    shop.gateway.logged("PC0324").await;
}

#[tokio::test]
async fn two_objects_on_one_host_are_tried_in_creation_order_or_by_specificity() {
    let older = virtual_service(
        "a-older",
        "shop",
        &[HOST],
        &naming(&[("older-prefix", "uri: {prefix: /cart}"), ("older-all", "uri: {prefix: /}")]),
    );
    let newer = virtual_service(
        "b-newer",
        "shop",
        &[HOST],
        &naming(&[
            ("newer-exact", "uri: {exact: /cart/pay}"),
            ("newer-prefix", "uri: {prefix: /x}"),
        ]),
    );
    let by_creation = http_gateway("shop", 80, &["*"]);
    let by_specificity = by_creation.replace(
        "  name: shop
",
        "  name: shop
  annotations: {portcullis.dev/route-order: specificity}
",
    );
    assert_ne!(by_creation, by_specificity);
    let mut gateway =
        Gateway::start(&join(&[by_creation.clone(), older.clone(), newer.clone()])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    gateway.logged("PC0309").await;
    for (path, rule) in [("/cart/pay", "older-prefix"), ("/x", "newer-prefix"), ("/y", "older-all")]
    {
        assert_eq!(client.get(HOST, path).await.text(), rule, "{path}");
    }
    gateway.apply(&join(&[by_specificity, older, newer])).await;
    for (path, rule) in [
        ("/cart/pay", "newer-exact"),
        ("/cart/x", "older-prefix"),
        ("/x", "newer-prefix"),
        ("/y", "older-all"),
    ] {
        assert_eq!(client.get(HOST, path).await.text(), rule, "{path}");
    }
}

#[tokio::test]
async fn a_match_for_one_gateway_holds_on_that_one_alone() {
    let rules = naming(&[
        ("inside", "gateways: [inside]"),
        ("here", "sourceLabels: {zone: a}"),
        ("elsewhere", "sourceLabels: {zone: b}"),
        ("rest", "uri: {prefix: /}"),
    ]);
    let routes = virtual_service("shop", "shop, inside", &[HOST], &rules);
    let inside = gateway("inside", &[http_server("inside", 8080, &["*"])]);
    let manifests = join(&[http_gateway("shop", 80, &["*"]), inside, routes]);
    let arguments = ["--label", "zone=a", "--port-map", "80=0,8080=0"];
    let gateway = Gateway::start_with(&manifests, &arguments).await;
    for (server, rule) in [("http", "here"), ("inside", "inside")] {
        let mut client = Client::http1(gateway.address(server)).await.unwrap();
        assert_eq!(client.get(HOST, "/").await.text(), rule, "{server}");
    }
}

#[tokio::test]
async fn one_destination_has_a_host_of_its_own_and_expressions_rewrite_paths() {
    let rules = "- match:\n  - uri: {prefix: /one}\n  route:\n  - destination: {host: blue.example}\n    \
         headers: {request: {set: {Host: inner.example}}}\n\
         - match:\n  - uri: {prefix: /user}\n  rewrite: {uriRegexRewrite: {match: '^/user/([^/]+)/', rewrite: '/u/\\1/'}}\n  \
         route:\n  - destination: {host: blue.example}\n\
         - match:\n  - uri: {prefix: /port}\n  redirect: {scheme: https, derivePort: FROM_PROTOCOL_DEFAULT}\n";
    let mut shop = Shop::open(rules).await;
    assert_eq!(shop.get("/one").await.json()["headers"]["host"], "inner.example");
    assert_eq!(shop.get("/user/ann/x?q").await.json()["path"], "/u/ann/x?q");
    assert_eq!(shop.get("/port").await.header("location"), "https://shop.example/port");
    shop.apply(TO_BLUE).await;
    assert_eq!(shop.get("/one").await.json()["headers"]["host"], HOST);
}
