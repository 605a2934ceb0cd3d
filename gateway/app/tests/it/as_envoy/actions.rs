//! What becomes of a request: rewrites, changed heads, redirects, answers, faults and cross-origin requests.

use serde_json::{Value, json};

use super::{Case, agree};

/// A rule that forwards to `blue`, with more fields.
fn to_blue(more: Value) -> Value {
    let mut rule = json!({"route": [{"destination": {"host": "blue.example"}}]});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

/// Under a prefix, rewritten as written.
fn rewriting(prefix: &str, rewrite: Value) -> Value {
    to_blue(json!({"match": [{"uri": {"prefix": prefix}}], "rewrite": rewrite}))
}

const JOINT: &str = "a rewrite of a prefix never leaves two slashes at the joint";

#[tokio::test]
async fn rewritten_paths_and_authorities_are_the_same() {
    agree(&[
        Case::new(
            "prefixes",
            json!([
                rewriting("/cat", json!({"uri": "/dog"})),
                rewriting("/api/", json!({"uri": "/"})),
                rewriting("/v1/", json!({"uri": "/v2/"})),
                rewriting("/root", json!({"uri": "/"})),
                rewriting("/deep", json!({"uri": "/a/b/c"})),
                to_blue(json!({"match": [{"uri": {"exact": "/one"}}], "rewrite": {"uri": "/two"}})),
                to_blue(json!({"match": [{"uri": {"regex": "/r[0-9]+"}}], "rewrite": {"uri": "/whole"}})),
                to_blue(json!({"match": [{"uri": {"prefix": "/FISH"}, "ignoreUriCase": true}], "rewrite": {"uri": "/bird"}})),
            ]),
            &[
                "GET /cat", "GET /cat/", "GET /cat/x?a=b", "GET /cattle", "GET /cat?x", "GET /cat/%20", "GET /api/x",
                "GET /api/", "GET /v1/x", "GET /v1/", "GET /root", "GET /deep/x", "GET /deepx", "GET /one?x=y",
                "GET /one", "GET /r12?x", "GET /fish/x", "GET /cat/../cat/x", "GET /other",
            ],
        )
        .except("GET /root/x", JOINT)
        .except("GET /root/", JOINT),
        Case::new(
            "patterns",
            json!([
                to_blue(json!({
                    "match": [{"uri": {"prefix": "/users"}}],
                    "rewrite": {"uriRegexRewrite": {"match": "^/users/([^/]+)/posts/(.*)$", "rewrite": "/posts/\\2/of/\\1"}},
                })),
                to_blue(json!({
                    "match": [{"uri": {"prefix": "/all"}}],
                    "rewrite": {"uriRegexRewrite": {"match": "o", "rewrite": "0"}},
                })),
                to_blue(json!({
                    "match": [{"uri": {"prefix": "/case"}}],
                    "rewrite": {"uriRegexRewrite": {"match": "(?i)/CASE/(.)", "rewrite": "/\\1\\1\\0"}},
                })),
            ]),
            &[
                "GET /users/ann/posts/7", "GET /users/ann/posts/7?x=/users/bob/posts/1", "GET /users/ann",
                "GET /all/foo/oo", "GET /all/foo?foo", "GET /case/xyz", "GET /case",
            ],
        ),
        Case::new(
            "hosts",
            json!([
                rewriting("/written", json!({"authority": "other.example"})),
                rewriting("/port", json!({"authority": "other.example:8080"})),
                rewriting("/both", json!({"uri": "/x", "authority": "other.example"})),
                to_blue(json!({
                    "match": [{"uri": {"prefix": "/header"}}],
                    "headers": {"request": {"set": {"Host": "set.example"}}},
                })),
                to_blue(json!({
                    "match": [{"uri": {"prefix": "/first"}}],
                    "headers": {"request": {"set": {"host": "set.example"}}},
                    "rewrite": {"authority": "rewrite.example"},
                })),
                {
                    "match": [{"uri": {"prefix": "/destination"}}],
                    "route": [{
                        "destination": {"host": "blue.example"},
                        "headers": {"request": {"set": {"host": "destination.example"}}},
                    }],
                },
                {
                    "match": [{"uri": {"prefix": "/rule-first"}}],
                    "headers": {"request": {"set": {"host": "rule.example"}}},
                    "route": [{
                        "destination": {"host": "blue.example"},
                        "headers": {"request": {"set": {"host": "destination.example"}}},
                    }],
                },
                {
                    "match": [{"uri": {"prefix": "/several"}}],
                    "headers": {"request": {"set": {"host": "rule.example"}}},
                    "route": [
                        {
                            "destination": {"host": "blue.example"},
                            "weight": 100,
                            "headers": {"request": {"set": {"host": "destination.example"}}},
                        },
                        {"destination": {"host": "green.example"}, "weight": 0},
                    ],
                },
                to_blue(json!({})),
            ]),
            &[
                "GET /written", "GET /port", "GET /both/x", "GET /header", "GET /first", "GET /destination",
                "GET /", "GET / | host: hosts.example:8080", "GET /rule-first", "GET /several",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn heads_are_changed_in_the_same_order() {
    let changes = |whose: &str| {
        json!({
            "set": {format!("x-t-{whose}-set"): "1"},
            "add": {"x-t-add": "1", format!("x-t-{whose}-add"): "1", "x-t-gone": "back"},
            "remove": [format!("x-t-{whose}-gone"), "x-t-gone"],
        })
    };
    let both = |whose: &str| json!({"request": changes(whose), "response": changes(whose)});
    let single = json!([
        {
            "match": [{"uri": {"prefix": "/rule"}}],
            "headers": both("rule"),
            "route": [{"destination": {"host": "blue.example"}}],
        },
        {
            "match": [{"uri": {"prefix": "/destination"}}],
            "route": [{"destination": {"host": "blue.example"}, "headers": both("destination")}],
        },
        {
            "headers": both("rule"),
            "route": [{"destination": {"host": "blue.example"}, "headers": json!({
                "request": {"set": {"x-t-own": "1"}, "remove": ["x-t-other"]},
                "response": {"add": {"x-t-own": "1"}, "remove": ["x-t-other"]},
            })}],
        },
    ]);
    let mut several = single.clone();
    for rule in several.as_array_mut().unwrap() {
        rule["route"][0]["weight"] = 100.into();
        rule["route"].as_array_mut().unwrap().push(json!({
            "destination": {"host": "green.example"},
            "weight": 0,
            "headers": {"request": {"set": {"x-t-own": "green"}}},
        }));
    }
    let whose = |whose: &str| {
        let operations = json!({
            "set": {"x-t": whose, format!("x-t-{whose}"): "1"},
            "add": {"x-t-more": whose},
            "remove": ["x-t-rule", "x-t-own"],
        });
        json!({"request": operations, "response": operations})
    };
    let conflict = json!([{
        "headers": whose("rule"),
        "route": [{"destination": {"host": "blue.example"}, "headers": whose("own")}],
    }]);
    let mut conflicts = conflict.clone();
    conflicts[0]["route"][0]["weight"] = 100.into();
    let other = json!({"destination": {"host": "green.example"}, "weight": 0});
    conflicts[0]["route"].as_array_mut().unwrap().push(other);
    let asks = [
        "GET /rule",
        "GET /destination",
        "GET /",
        "GET /rule | x-t-rule-set: client | x-t-rule-add: client | x-t-add: client",
        "GET /destination | x-t-destination-set: client | x-t-destination-add: client | x-t-add: one | x-t-add: two",
        "GET /rule | x-t-gone: client | x-t-rule-gone: client | x-t-other: client",
        "GET / | x-t-rule-set: client | x-t-own: client | x-t-other: client",
        "GET / | x-reply-x-t-rule-set: up | x-reply-x-t-own: up | x-reply-x-t-other: up | x-reply-x-t-add: up",
        "GET /rule | x-reply-x-t-gone: up | x-reply-x-t-rule-gone: up | x-reply-x-t-rule-add: up",
        "GET /destination | x-reply-x-t-gone: up | x-reply-x-t-destination-gone: up | x-reply-x-t-destination-set: up",
    ];
    let answered = json!([{
        "headers": {"response": {"set": {"x-t-set": "1"}, "add": {"x-t-add": "2"}}},
        "directResponse": {"status": 418, "body": {"string": "teapot"}},
    }]);
    agree(&[
        Case::new("single", single, &asks),
        Case::new("weighted", several, &asks),
        Case::new("conflict", conflict, &["GET /", "GET / | x-t: client | x-t-more: client"]),
        Case::new("conflicts", conflicts, &["GET /", "GET / | x-t: client | x-t-more: client"]),
        Case::new("answered", answered, &["GET /", "POST /x", "HEAD /"]),
    ])
    .await;
}

#[tokio::test]
async fn redirects_and_answers_are_the_same() {
    let redirect = |prefix: &str, redirect: Value| json!({"match": [{"uri": {"prefix": prefix}}], "redirect": redirect});
    agree(&[
        Case::new(
            "redirects",
            json!([
                redirect("/authority", json!({"authority": "other.example"})),
                redirect("/uri", json!({"uri": "/new"})),
                redirect("/query", json!({"uri": "/new?own=1"})),
                redirect("/scheme", json!({"scheme": "https"})),
                redirect("/port/443", json!({"scheme": "https", "port": 443})),
                redirect("/port/8443", json!({"scheme": "https", "port": 8443})),
                redirect("/port/80", json!({"port": 80})),
                redirect("/port/81", json!({"port": 81})),
                redirect("/derived", json!({"derivePort": "FROM_PROTOCOL_DEFAULT", "scheme": "https"})),
                redirect("/all", json!({"scheme": "https", "authority": "b.example", "port": 9443, "uri": "/z", "redirectCode": 308})),
                redirect("/302", json!({"uri": "/x", "redirectCode": 302})),
                redirect("/303", json!({"uri": "/x", "redirectCode": 303})),
                redirect("/307", json!({"uri": "/x", "redirectCode": 307})),
            ]),
            &[
                "GET /authority", "GET /authority/x?a=b", "GET /uri/x", "GET /uri/x?a=b", "GET /query",
                "GET /scheme/x?a", "GET /port/443", "GET /port/8443?a=b", "GET /port/80", "GET /port/81",
                "GET /derived", "GET /all?q", "POST /302", "POST /303", "POST /307", "HEAD /307",
                "GET /port/81 | host: redirects.example:8080",
                "GET /uri | host: redirects.example:8080", "GET /authority | host: redirects.example:8080",
                "GET /nowhere", "GET /authority/%20/a%2Bb",
                "GET /scheme | host: redirects.example:8080", "GET /scheme | host: redirects.example:80",
            ],
        ),
        Case::new(
            "answers",
            json!([
                {"match": [{"uri": {"exact": "/503"}}], "directResponse": {"status": 503}},
                {"match": [{"uri": {"exact": "/200"}}], "directResponse": {"status": 200, "body": {"string": "fine"}}},
                {"match": [{"uri": {"exact": "/404"}}], "directResponse": {"status": 404, "body": {"string": "{\"a\": 1}"}}},
            ]),
            &["GET /503", "GET /200", "POST /200", "HEAD /200", "GET /404"],
        ),
        Case::new(
            "faults",
            json!([
                to_blue(json!({"match": [{"uri": {"prefix": "/all"}}], "fault": {"abort": {"httpStatus": 555, "percentage": {"value": 100}}}})),
                to_blue(json!({"match": [{"uri": {"prefix": "/none"}}], "fault": {"abort": {"httpStatus": 555, "percentage": {"value": 0}}}})),
                to_blue(json!({"match": [{"uri": {"prefix": "/unsaid"}}], "fault": {"abort": {"httpStatus": 555}}})),
                to_blue(json!({"match": [{"uri": {"prefix": "/grpc"}}], "fault": {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 100}}}})),
            ]),
            &["GET /all", "GET /none", "GET /unsaid", "POST /grpc | content-type: application/grpc", "GET /grpc"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn cross_origin_requests_are_answered_the_same() {
    let policy = json!({
        "allowOrigins": [{"exact": "https://a.example"}, {"prefix": "https://b"}, {"regex": "https://[cd]\\.example"}],
        "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-one", "X-Two"],
        "exposeHeaders": ["x-three"],
        "maxAge": "600s",
        "allowCredentials": true,
    });
    let mut ignoring = policy.clone();
    ignoring["unmatchedPreflights"] = "IGNORE".into();
    let any = json!({"allowOrigins": [{"exact": "*"}], "allowMethods": ["GET"]});
    let asks = [
        "OPTIONS / | origin: https://a.example | access-control-request-method: PUT",
        "OPTIONS / | origin: https://a.example | access-control-request-method: DELETE",
        "OPTIONS / | origin: https://a.example | access-control-request-method: GET | access-control-request-headers: x-four",
        "OPTIONS / | origin: https://A.example | access-control-request-method: GET",
        "OPTIONS / | origin: https://b.example | access-control-request-method: GET",
        "OPTIONS / | origin: https://d.example | access-control-request-method: GET",
        "OPTIONS / | origin: https://e.example | access-control-request-method: GET",
        "OPTIONS / | origin: https://a.example",
        "OPTIONS / | access-control-request-method: GET",
        "OPTIONS /",
        "GET / | origin: https://a.example",
        "GET / | origin: https://e.example",
        "GET /",
        "PUT / | origin: https://xa.example",
        "GET / | origin: null",
        "GET / | origin: https://a.example | x-reply-access-control-allow-origin: https://upstream.example",
        "GET / | origin: https://e.example | x-reply-access-control-allow-origin: https://upstream.example",
    ];
    let of = |policy: Value| json!([to_blue(json!({"corsPolicy": policy}))]);
    let answer = json!([{
        "corsPolicy": policy,
        "directResponse": {"status": 200, "body": {"string": "x"}},
    }]);
    agree(&[
        Case::new("cors", of(policy), &asks),
        Case::new("ignoring", of(ignoring), &[asks[0], asks[4], asks[7], asks[8]])
            .except(asks[3], NOTHING_ALLOWED)
            .except(asks[6], NOTHING_ALLOWED),
        Case::new("any", of(any), &asks),
        Case::new("direct", answer, &["GET /", asks[6], asks[11]])
            .except(asks[0], WHOEVER_ANSWERS)
            .except(asks[10], WHOEVER_ANSWERS),
    ])
    .await;
}

/// Without an allowed origin a browser makes nothing of them.
const NOTHING_ALLOWED: &str =
    "the answer to a preflight of another origin allows nothing, methods and fields included";
const WHOEVER_ANSWERS: &str =
    "the gateway's own answers are for the same origins, where Envoy has no policy on them";
