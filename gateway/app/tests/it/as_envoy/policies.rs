//! Policies: which requests may pass.

use std::fmt::Write;

use portcullis_testkit::manifests::{authorization_policy, http_gateway, virtual_service};
use portcullis_testkit::{Signer, TOKEN_AUDIENCE, TOKEN_ISSUER};
use serde_json::{Value, json};

use super::tokens::{authentication, policy};
use super::{Case, Pair, host, policy_pilot};
use crate::shop::TO_BLUE;

/// Policies and what is asked behind them; `rules` is a list of specs. `{ann}` and `{bob}` are tokens.
fn cases() -> Vec<Case> {
    let operation = |operation: Value| json!([{"to": [{"operation": operation}]}]);
    let source = |source: Value| json!([{"from": [{"source": source}]}]);
    let when = |key: &str, values: Value| json!([{"when": [{"key": key, "values": values}]}]);
    let allow = |rules: Value| json!([{"rules": rules}]);
    let deny = |rules: Value| json!([{"action": "DENY", "rules": rules}]);
    let paths = [
        "GET /admin",
        "GET /admin/",
        "GET /admin/x",
        "GET /administrator",
        "GET /cart",
        "GET /ADMIN",
        "GET /admin?x",
        "GET /a/../admin",
        "GET //admin",
        "GET /%61dmin",
        "GET /x/admin",
        "GET /",
    ];
    let segments = [
        "GET /users",
        "GET /users/",
        "GET /users/ann",
        "GET /users/ann/posts",
        "GET /users/ann/posts/",
        "GET /users/ann/b/posts",
        "GET /users/posts",
        "GET /files/a/b/c.png",
        "GET /files/.png",
        "GET /files/a/b",
        "GET /users/a%20b/posts",
        "GET /files/",
    ];
    let fields = [
        "GET /",
        "GET / | x-user: ann",
        "GET / | x-user: annie",
        "GET / | x-user: bob",
        "GET / | x-user: ",
        "GET / | x-user: joann",
    ];
    let clients =
        ["GET /", "GET / | x-forwarded-for: 192.0.2.7", "GET / | x-forwarded-for: 198.51.100.1"];
    let tokens = [
        "GET /",
        "GET / | authorization: Bearer {ann}",
        "GET / | authorization: Bearer {bob}",
        "GET / | authorization: Bearer bad",
    ];
    let methods = ["GET /", "POST /", "PUT /", "DELETE /"];
    vec![
        Case::new("nothing-allowed", json!([{}]), &["GET /"]),
        Case::new("all-allowed", allow(json!([{}])), &["GET /"]),
        Case::new("nothing-denied", json!([{"action": "DENY"}]), &["GET /"]),
        Case::new("all-denied", deny(json!([{}])), &["GET /"]),
        Case::new("path", deny(operation(json!({"paths": ["/admin"]}))), &paths),
        Case::new("path-prefix", deny(operation(json!({"paths": ["/admin*"]}))), &paths),
        Case::new("path-suffix", deny(operation(json!({"paths": ["*/admin"]}))), &paths),
        Case::new("path-any", deny(operation(json!({"paths": ["*"]}))), &paths),
        Case::new(
            "path-not",
            allow(operation(json!({"notPaths": ["/admin", "/admin/*"]}))),
            &paths,
        ),
        Case::new(
            "path-both",
            allow(operation(json!({"paths": ["/a*"], "notPaths": ["/admin/*"]}))),
            &paths,
        ),
        Case::new("template", allow(operation(json!({"paths": ["/users/{*}"]}))), &segments),
        Case::new(
            "template-within",
            allow(operation(json!({"paths": ["/users/{*}/posts"]}))),
            &segments,
        ),
        Case::new("template-deep", allow(operation(json!({"paths": ["/files/{**}"]}))), &segments),
        Case::new(
            "template-end",
            allow(operation(json!({"paths": ["/files/{**}/c.png", "/users/{*}/{**}"]}))),
            &segments,
        ),
        Case::new("method", allow(operation(json!({"methods": ["GET", "P*"]}))), &methods),
        Case::new("method-not", allow(operation(json!({"notMethods": ["*T"]}))), &methods),
        Case::new(
            "operations",
            allow(operation(json!({"methods": ["GET"], "paths": ["/cart"]}))),
            &["GET /cart", "POST /cart", "GET /"],
        ),
        Case::new(
            "deny-first",
            json!([{"rules": [{}]}, {"action": "DENY", "rules": operation(json!({"methods": ["PUT"]}))}]),
            &methods,
        ),
        Case::new(
            "host",
            deny(operation(json!({"hosts": ["HOST.example"]}))),
            &["GET /", "GET / | host: Host.Example"],
        )
        .except("GET / | host: host.example:8080", WITHOUT_PORT),
        Case::new(
            "host-suffix",
            deny(operation(json!({"hosts": ["*.example"]}))),
            &["GET /", "GET / | host: Host-Suffix.EXAMPLE"],
        )
        .except("GET / | host: host-suffix.example:80", WITHOUT_PORT),
        Case::new("host-not", allow(operation(json!({"notHosts": ["other.example"]}))), &["GET /"]),
        Case::new("header", allow(when("request.headers[x-user]", json!(["ann"]))), &fields),
        Case::new(
            "header-prefix",
            allow(when("request.headers[X-User]", json!(["ann*", "b*"]))),
            &fields,
        ),
        Case::new(
            "header-suffix",
            allow(when("request.headers[x-user]", json!(["*ann"]))),
            &fields,
        ),
        Case::new("header-present", allow(when("request.headers[x-user]", json!(["*"]))), &fields),
        Case::new(
            "header-not",
            allow(
                json!([{"when": [{"key": "request.headers[x-user]", "notValues": ["ann", "bob"]}]}]),
            ),
            &fields,
        ),
        Case::new(
            "header-deny",
            deny(json!([{"when": [{"key": "request.headers[x-user]", "notValues": ["ann"]}]}])),
            &fields,
        ),
        Case::new("peer", allow(source(json!({"ipBlocks": ["127.0.0.0/8"]}))), &clients),
        Case::new("peer-not", allow(source(json!({"notIpBlocks": ["127.0.0.1"]}))), &clients),
        Case::new("client", deny(source(json!({"remoteIpBlocks": ["192.0.2.0/24"]}))), &clients),
        Case::new(
            "client-not",
            deny(source(json!({"notRemoteIpBlocks": ["192.0.2.0/24"]}))),
            &clients,
        ),
        Case::new(
            "client-when",
            allow(when("remote.ip", json!(["192.0.2.7", "10.0.0.0/8"]))),
            &clients,
        ),
        Case::new("token", allow(source(json!({"requestPrincipals": ["*"]}))), &tokens),
        Case::new(
            "token-of",
            allow(source(json!({"requestPrincipals": [format!("{TOKEN_ISSUER}/ann")]}))),
            &tokens,
        ),
        Case::new(
            "token-issuer",
            allow(source(json!({"requestPrincipals": [format!("{TOKEN_ISSUER}/*")]}))),
            &tokens,
        ),
        Case::new("token-none", deny(source(json!({"notRequestPrincipals": ["*"]}))), &tokens),
        Case::new(
            "audience",
            allow(when("request.auth.audiences", json!([TOKEN_AUDIENCE]))),
            &tokens,
        ),
        Case::new("presenter", allow(when("request.auth.presenter", json!(["app"]))), &tokens),
        Case::new("claim", allow(when("request.auth.claims[team]", json!(["blue"]))), &tokens),
        Case::new(
            "claim-list",
            allow(when("request.auth.claims[groups]", json!(["ad*"]))),
            &tokens,
        ),
        Case::new(
            "claim-nested",
            allow(when("request.auth.claims[org][unit]", json!(["shop"]))),
            &tokens,
        ),
        Case::new(
            "claim-not",
            allow(json!([{"when": [{"key": "request.auth.claims[team]", "notValues": ["blue"]}]}])),
            &tokens,
        ),
        Case::new("claim-number", allow(when("request.auth.claims[level]", json!(["3"]))), &tokens),
        Case::new(
            "claim-not-number",
            deny(json!([{"when": [{"key": "request.auth.claims[level]", "notValues": ["3"]}]}])),
            &tokens,
        ),
        Case::new(
            "claim-blanks",
            allow(when("request.auth.claims[scope]", json!(["read"]))),
            &tokens,
        ),
        Case::new(
            "whole",
            allow(json!([{
                "from": [{"source": {"requestPrincipals": ["*"], "ipBlocks": ["127.0.0.1"]}}, {"source": {"remoteIpBlocks": ["192.0.2.7"]}}],
                "to": [{"operation": {"paths": ["/cart*"]}}, {"operation": {"methods": ["GET"], "paths": ["/"]}}],
                "when": [{"key": "request.headers[x-user]", "notValues": ["mallory"]}],
            }])),
            &[
                "GET /",
                "GET /cart",
                "GET / | x-forwarded-for: 192.0.2.7",
                "POST /cart/x | x-forwarded-for: 192.0.2.7",
                "POST / | x-forwarded-for: 192.0.2.7",
                "GET /cart | authorization: Bearer {bob}",
                "GET /cart | authorization: Bearer {bob} | x-user: mallory",
            ],
        ),
    ]
}

const WITHOUT_PORT: &str = "a policy's host without a port is for every port";

#[tokio::test]
async fn the_same_requests_may_pass() {
    let signer = Signer::ecdsa_p256("one");
    let token = |more: &str| {
        signer.token(&format!(
            r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}","exp":4102444800,{more}}}"#
        ))
    };
    let ann = token(
        r#""sub":"ann","azp":"app","team":"blue","groups":["users","admins"],"org":{"unit":"shop"},"level":3,"scope":"read write""#,
    );
    let bob = token(
        r#""sub":"bob","team":["red","blue"],"groups":"adults","org":"shop","level":"3","scope":"read""#,
    );
    let cases = cases();
    let forwarding = json!([{"route": [{"destination": {"host": "blue.example"}}]}]);
    let hosts: Vec<Value> = cases
        .iter()
        .map(|case| {
            host(
                &Case { rules: forwarding.clone(), ..Case::new(case.name, Value::Null, &[]) },
                &policy_pilot::settings(&case.rules),
            )
        })
        .collect();
    let filters = [vec![authentication(&signer.key_set())], policy_pilot::filters()].concat();
    let served = [
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        policy(&signer.key_set()),
    ];
    let mut pair = Pair::open(hosts.into(), &filters, &served).await;
    let mut wrong = String::new();
    for case in &cases {
        let policies = case.rules.as_array().unwrap().iter().enumerate();
        let policies: Vec<String> = policies
            .map(|(at, spec)| authorization_policy(&format!("p{at}"), &spec.to_string()))
            .collect();
        pair.apply(&[&served[..], &policies].concat()).await;
        for ask in &case.asks {
            let [theirs, ours] =
                pair.ask(&case.host(), &ask.replace("{ann}", &ann).replace("{bob}", &bob)).await;
            let known = case.known.iter().any(|(known, _)| known == ask);
            if (theirs.status == ours.status) == known {
                writeln!(
                    wrong,
                    "{}: {ask}: Envoy {}, ours {}",
                    case.name, theirs.status, ours.status
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
