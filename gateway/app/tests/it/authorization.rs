//! Authorization policies from outside: who is refused, what the client and the record get, and what does not get round
//! them.

use portcullis_testkit::manifests::{
    authorization_policy, join, request_authentication, tls_secret_with, tls_server,
    virtual_service,
};
use portcullis_testkit::{
    Authority, Call, Certificates, Client, Handshake, RawConnection, Signer, Subject, TOKEN_ISSUER,
    Tls, Upstream,
};

use crate::explain::Explainer;
use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE, all_to_blue};
use crate::small_guests::{callback, shop_with_guests, small_guest};

const LOG: [&str; 4] = ["--workers", "1", "--access-log", "text"];
const DENY_ADMIN: &str =
    "{action: DENY, rules: [{to: [{operation: {paths: [/admin, /admin/*]}}]}]}";

/// A shop before which these policies stand: a name and a `spec` each.
async fn open(policies: &[(&str, &str)], arguments: &[&str]) -> Shop {
    let mut shop = Shop::open_with(TO_BLUE, &[&LOG, arguments].concat()).await;
    if !policies.is_empty() {
        apply(&mut shop, policies).await;
    }
    shop
}

async fn apply(shop: &mut Shop, policies: &[(&str, &str)]) {
    let mut documents = vec![shop.manifests(TO_BLUE)];
    documents.extend(policies.iter().map(|(name, spec)| authorization_policy(name, spec)));
    shop.gateway.apply(&join(&documents)).await;
}

async fn status(shop: &mut Shop, path: &str) -> u16 {
    shop.get(path).await.status.as_u16()
}

#[tokio::test]
async fn a_refusal_is_403_and_names_its_policy_in_the_record_alone() {
    let mut shop = open(&[("admin", DENY_ADMIN)], &[]).await;
    assert_eq!(status(&mut shop, "/cart").await, 200);
    let reply = shop.get("/admin/x?a=b").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "RBAC: access denied"));
    assert_eq!(reply.header("content-type"), "text/plain");
    assert!(!format!("{:?}", reply.headers).contains("admin"), "{:?}", reply.headers);
    let line = shop.gateway.access_line_with(" 403 ").await;
    let details = "UAEX rbac_access_denied_matched_policy[ns[default]-policy[admin]-rule[0]]";
    assert!(line.contains(details), "{line}");
    assert_eq!(shop.blue.seen().requests, 1);
}

#[tokio::test]
async fn grpc_clients_get_their_own_status() {
    let shop = open(&[("none", "{}")], &[]).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let call = Call::new("POST", HOST, "/a.B/C").header("content-type", "application/grpc");
    let reply = client.call(call).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "7"));
    assert_eq!(reply.header("grpc-message"), "RBAC: access denied");
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn deny_comes_before_allow_and_without_an_allow_that_matches_nothing_passes() {
    let get = "{rules: [{to: [{operation: {methods: [GET]}}]}]}";
    let mut shop = open(&[("a-get", get), ("b-admin", DENY_ADMIN)], &[]).await;
    assert_eq!(status(&mut shop, "/cart").await, 200);
    assert_eq!(status(&mut shop, "/admin").await, 403);
    let post = Call::post(HOST, "/cart", "x");
    assert_eq!(shop.client.call(post).await.status, 403);
    shop.gateway.access_line_with("rbac_access_denied_matched_policy[none]").await;
    // Without rules it allows nothing; one that matches beside it is enough.
    apply(&mut shop, &[("a-get", get), ("c-nothing", "{}")]).await;
    assert_eq!(status(&mut shop, "/admin").await, 200);
    apply(&mut shop, &[("c-nothing", "{}")]).await;
    assert_eq!(status(&mut shop, "/admin").await, 403);
    // A DENY without rules denies nothing.
    apply(&mut shop, &[("d-nothing", "{action: DENY}")]).await;
    assert_eq!(status(&mut shop, "/admin").await, 200);
    apply(&mut shop, &[]).await;
    assert_eq!(status(&mut shop, "/admin").await, 200);
}

#[tokio::test]
async fn a_custom_policy_refuses_what_nobody_can_be_asked_about() {
    let spec =
        "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/ask]}}]}]}";
    let mut shop = open(&[("ask", spec)], &[]).await;
    assert_eq!(status(&mut shop, "/ask").await, 403);
    assert_eq!(status(&mut shop, "/cart").await, 200);
    shop.gateway.logged("PC0235").await;
}

#[tokio::test]
async fn dry_runs_and_audits_refuse_nothing() {
    let dry = authorization_policy("dry", "{action: DENY, rules: [{}]}")
        .replace("metadata:\n", "metadata:\n  annotations: {istio.io/dry-run: \"true\"}\n");
    let audit = authorization_policy("audit", "{action: AUDIT, rules: [{}]}");
    let arguments = [&LOG[..], &["--log-level", "debug"]].concat();
    let mut shop = Shop::open_with(TO_BLUE, &arguments).await;
    shop.gateway.apply(&join(&[shop.manifests(TO_BLUE), dry, audit])).await;
    assert_eq!(status(&mut shop, "/cart").await, 200);
    for name in ["dry", "audit"] {
        let told =
            format!("not enforced: rbac_access_denied_matched_policy[ns[default]-policy[{name}]");
        shop.gateway.logged(&told).await;
    }
}

#[tokio::test]
async fn no_way_of_writing_a_path_gets_round_a_policy() {
    let shop = open(&[("admin", DENY_ADMIN)], &[]).await;
    let address = shop.gateway.address("http");
    for path in [
        "/admin",
        "/%61dmin",
        "/a/../admin",
        "/a/%2e%2e/admin",
        "/./admin",
        "//admin",
        "/admin?x=/cart",
        "/admin/",
        "/admin//x",
        "/admin/%2E/x",
        "/cart/..;/admin",
        "/cart%2f..%2fadmin",
        "/cart\\..\\admin",
        "/admin%00",
        "http://shop.example/admin",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let reply = RawConnection::exchange(address, request).await;
        let refused = ["HTTP/1.1 403 ", "HTTP/1.1 400 ", "HTTP/1.1 307 "];
        assert!(refused.iter().any(|status| reply.starts_with(status)), "{path}: {reply}");
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn no_way_of_writing_a_host_gets_round_a_policy() {
    let spec = "{action: DENY, rules: [{to: [{operation: {hosts: [Shop.example]}}]}]}";
    let shop = open(&[("host", spec)], &[]).await;
    let address = shop.gateway.address("http");
    for host in
        ["shop.example", "SHOP.example", "shop.example:80", "shop.example:8080", "shop.example."]
    {
        let request = format!("GET /cart HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let reply = RawConnection::exchange(address, request).await;
        assert!(reply.starts_with("HTTP/1.1 403 "), "{host}: {reply}");
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn the_client_behind_a_trusted_hop_is_the_one_that_it_names() {
    let spec = "{action: DENY, rules: [{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}]}";
    let by_peer = "{action: DENY, rules: [{when: [{key: source.ip, values: [192.0.2.0/24]}]}]}";
    let from = |value: &str| Call::get(HOST, "/").header("x-forwarded-for", value);
    let trusted = ["--trusted-cidr", "127.0.0.0/8,::1/128"];
    let mut shop = open(&[("remote", spec)], &trusted).await;
    assert_eq!(shop.client.call(from("192.0.2.7")).await.status, 403);
    assert_eq!(shop.client.call(from("198.51.100.1, 192.0.2.7")).await.status, 403);
    // What stands before the hop that is trusted is the client's own word.
    assert_eq!(shop.client.call(from("192.0.2.7, 198.51.100.1")).await.status, 200);
    apply(&mut shop, &[("peer", by_peer)]).await;
    assert_eq!(shop.client.call(from("192.0.2.7")).await.status, 200, "the peer is loopback");
    // From a peer that is not trusted it says nothing.
    let allow = "{rules: [{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}]}";
    let mut shop = open(&[("remote", allow)], &[]).await;
    assert_eq!(shop.client.call(from("192.0.2.7")).await.status, 403);
}

#[tokio::test]
async fn a_client_is_known_by_its_verified_certificate() {
    const ADA: &str = "spiffe://cluster.local/ns/shop/sa/ada";
    let (blue, own, clients) =
        (Upstream::start("blue"), Certificates::for_hosts(&[HOST]), Authority::new());
    let tls = "credentialName: cert, mode: OPTIONAL_MUTUAL";
    let secret = tls_secret_with("cert", &own, &[("ca.crt", &clients.pem())]);
    let served = all_to_blue(&blue, &[tls_server("https", 443, &[HOST], tls)], &[secret]);
    let with = |spec: &str| join(&[served.clone(), authorization_policy("p", spec)]);
    let source = |source: &str| format!("{{rules: [{{from: [{{source: {source}}}]}}]}}");
    let mut gateway = Gateway::start(&served).await;
    let ada = clients.issue_to(&Subject::new(&["ada.example"]).uri(ADA));
    let bob =
        clients.issue_to(&Subject::new(&["bob.example"]).uri("spiffe://cluster.local/ns/x/sa/ada"));
    let nameless = clients.issue(&["carl.example"]);
    for (spec, allowed) in [
        (source("{principals: [cluster.local/ns/shop/sa/ada]}"), [true, false, false, false]),
        (source("{principals: ['cluster.local/*']}"), [true, true, false, false]),
        (source("{principals: ['*']}"), [true, true, true, false]),
        (source("{namespaces: [shop]}"), [true, false, false, false]),
        (source("{serviceAccounts: [shop/ada]}"), [true, false, false, false]),
        (source("{notNamespaces: [shop]}"), [false, true, true, true]),
    ] {
        gateway.apply(&with(&spec)).await;
        let mut got = Vec::new();
        for certificate in [Some(&ada), Some(&bob), Some(&nameless), None] {
            let tls = Tls::new(HOST, &own);
            let tls = certificate.map_or(tls.clone(), |own| tls.presenting(own));
            let handshake = Handshake::make(gateway.address("https"), &tls, HOST).await;
            got.push(handshake.unwrap().status == 200);
        }
        assert_eq!(got, allowed, "{spec}");
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_verified_token() {
    let signer = Signer::ecdsa_p256("one");
    let tokens = request_authentication(
        "tokens",
        &format!("- issuer: {TOKEN_ISSUER}\n  jwks: '{}'\n", signer.key_set()),
    );
    let mut shop = Shop::open(TO_BLUE).await;
    let token = |more: &str| {
        let claims = format!(r#"{{"iss":"{TOKEN_ISSUER}","sub":"ann","exp":4000000000{more}}}"#);
        Call::get(HOST, "/").header("authorization", &format!("Bearer {}", signer.token(&claims)))
    };
    let plain = || token("");
    let roles = || token(r#","realm":{"roles":["admin","dev"]},"aud":["a","b"]"#);
    let none = || Call::get(HOST, "/");
    for (spec, allowed) in [
        (
            "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}".to_owned(),
            [true, true, false],
        ),
        (
            format!(
                "{{rules: [{{from: [{{source: {{requestPrincipals: ['{TOKEN_ISSUER}/ann']}}}}]}}]}}"
            ),
            [true, true, false],
        ),
        ("{rules: [{from: [{source: {requestPrincipals: [other/ann]}}]}]}".to_owned(), [false; 3]),
        (
            "{rules: [{when: [{key: 'request.auth.claims[realm][roles]', values: [admin]}]}]}"
                .to_owned(),
            [false, true, false],
        ),
        (
            "{rules: [{when: [{key: request.auth.audiences, values: [b]}]}]}".to_owned(),
            [false, true, false],
        ),
        (
            "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}".to_owned(),
            [true, true, false],
        ),
    ] {
        let documents = [shop.manifests(TO_BLUE), tokens.clone(), authorization_policy("p", &spec)];
        shop.gateway.apply(&join(&documents)).await;
        let mut got = Vec::new();
        for call in [plain(), roles(), none()] {
            got.push(shop.client.call(call).await.status == 200);
        }
        assert_eq!(got, allowed, "{spec}");
    }
    // A bad token is no matter of policies.
    assert_eq!(shop.get_with("/", "authorization", "Bearer bad").await.status, 401);
}

#[tokio::test]
async fn a_stricter_policy_holds_for_the_next_request_of_an_open_connection() {
    let mut shop = open(&[], &[]).await;
    let mut http2 = Client::h2c(shop.gateway.address("http")).await.unwrap();
    assert_eq!(status(&mut shop, "/admin").await, 200);
    assert_eq!(http2.get(HOST, "/admin").await.status, 200);
    apply(&mut shop, &[("admin", DENY_ADMIN)]).await;
    assert_eq!(status(&mut shop, "/admin").await, 403);
    assert_eq!(http2.get(HOST, "/admin").await.status, 403);
    assert!(!http2.is_closed());
    // One that is broken leaves it in force.
    apply(&mut shop, &[("admin", "{action: DENY, rules: [{to: []}]}")]).await;
    assert_eq!(status(&mut shop, "/admin").await, 403);
    assert_eq!(status(&mut shop, "/cart").await, 200);
    // One that never was good refuses everything.
    apply(&mut shop, &[("new", "{action: DENY, rules: [{to: []}]}")]).await;
    assert_eq!(status(&mut shop, "/cart").await, 503);
}

#[tokio::test]
async fn what_a_plugin_makes_of_a_request_is_what_policies_see() {
    let moves = callback(
        "on_request_headers",
        "(if (call $asks $\"x-move\") (then (call $replace (i32.const 0) $\":path\" $\"/a/../admin\")))",
    );
    let policy = authorization_policy("admin", DENY_ADMIN);
    for (phase, moved) in
        [("phase: AUTHN\n", 403), ("phase: AUTHZ\n", 403), ("phase: STATS\n", 200)]
    {
        let guest = ("guest", small_guest(&moves), phase);
        let mut shop = shop_with_guests(&[guest], std::slice::from_ref(&policy)).await;
        assert_eq!(status(&mut shop, "/cart").await, 200, "{phase}");
        assert_eq!(status(&mut shop, "/admin").await, 403, "{phase}");
        // Behind the policies a plugin has the last word, as in Istio.
        assert_eq!(shop.get_with("/cart", "x-move", "1").await.status, moved, "{phase}");
    }
}

#[tokio::test]
async fn policies_are_asked_again_behind_the_plugins_of_another_rule() {
    let moves = |field: &str, value: &str| {
        let replace = format!("(call $replace (i32.const 0) $\"{field}\" $\"{value}\")");
        small_guest(&callback(
            "on_request_headers",
            &format!("(if (call $asks $\"x-move\") (then {replace}))"),
        ))
    };
    let other = virtual_service("other", "shop", &["other.example"], TO_BLUE);
    let policy = authorization_policy("admin", DENY_ADMIN);
    for (phase, expected) in [("AUTHZ", 403), ("STATS", 200)] {
        let fields =
            format!("phase: {phase}\ntargetRefs: [{{kind: VirtualService, name: other}}]\n");
        let guests = [
            ("outer", moves(":authority", "other.example"), "phase: AUTHN\n"),
            ("inner", moves(":path", "/admin"), &*fields),
        ];
        let mut shop = shop_with_guests(&guests, &[other.clone(), policy.clone()]).await;
        assert_eq!(status(&mut shop, "/cart").await, 200, "{phase}");
        assert_eq!(shop.get_with("/cart", "x-move", "1").await.status, expected, "{phase}");
    }
}

#[tokio::test]
async fn the_plugins_of_a_phase_run_before_and_behind_policies() {
    let answers = |text: &str| {
        small_guest(&callback(
            "on_request_headers",
            &format!("(call $reply (i32.const 418) $\"{text}\")"),
        ))
    };
    let policy = authorization_policy("none", "{}");
    for (phase, expected) in
        [("phase: AUTHN\n", 418), ("phase: AUTHZ\n", 418), ("phase: STATS\n", 403), ("", 403)]
    {
        let guest = ("guest", answers("x"), phase);
        let mut shop = shop_with_guests(&[guest], std::slice::from_ref(&policy)).await;
        assert_eq!(status(&mut shop, "/cart").await, expected, "{phase}");
    }
    // CUSTOM comes before all of them.
    let custom = authorization_policy("ask", "{action: CUSTOM, provider: {name: x}, rules: [{}]}");
    let guest = ("guest", answers("x"), "phase: AUTHN\n");
    let mut shop = shop_with_guests(&[guest], &[custom]).await;
    assert_eq!(status(&mut shop, "/cart").await, 403);
}

#[tokio::test]
async fn explain_tells_what_each_policy_says() {
    let inside = "{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}";
    let shop = open(&[("admin", DENY_ADMIN), ("inside", inside)], &[]).await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    let url = |path: &str| format!("http://{HOST}{path}");
    let told = explainer.json(&[("url", &url("/a/../admin/x"))]).await;
    assert_eq!((&told["outcome"], &told["status"]), (&"refused".into(), &403.into()));
    let refusal = "rbac_access_denied_matched_policy[ns[default]-policy[admin]-rule[0]]";
    assert_eq!(told["refusal"], refusal);
    let told = explainer.json(&[("url", &url("/cart"))]).await;
    assert_eq!(
        (&told["outcome"], &told["filters"][0]),
        (&"forward".into(), &"authorization".into())
    );
    let policies = serde_json::json!([
        {"policy": "AuthorizationPolicy/default/admin", "action": "DENY", "enforced": true,
         "outcome": "no rule matches"},
        {"policy": "AuthorizationPolicy/default/inside", "action": "ALLOW", "enforced": true,
         "outcome": "depends on remote.ip"},
    ]);
    assert_eq!(told["policies"], policies);
    for (client, outcome) in [("10.1.2.3", "forward"), ("192.0.2.1", "refused")] {
        let told = explainer.json(&[("url", &url("/cart")), ("client", client)]).await;
        assert_eq!(told["outcome"], outcome, "{client}: {told}");
    }
    let text = explainer.ask(&[("url", &url("/admin"))]).await;
    assert!(text.text().contains("AuthorizationPolicy/default/admin"), "{}", text.text());
}
