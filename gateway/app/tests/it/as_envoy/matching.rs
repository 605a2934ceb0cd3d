//! Which rule takes a request.

use serde_json::{Value, json};

use super::{Case, agree};

/// Rules that answer with their names: those with a match, then `rest`.
fn naming(rules: &[(&str, Value)]) -> Value {
    let answer = |name: &str| json!({"status": 200, "body": {"string": name}});
    let mut named: Vec<Value> = rules
        .iter()
        .map(|(name, condition)| {
            let conditions =
                if condition.is_array() { condition.clone() } else { json!([condition]) };
            json!({"match": conditions, "directResponse": answer(name)})
        })
        .collect();
    named.push(json!({"directResponse": answer("rest")}));
    named.into()
}

#[tokio::test]
async fn paths_choose_the_same_rule() {
    agree(&[
        Case::new(
            "exact",
            naming(&[
                ("a", json!({"uri": {"exact": "/a"}})),
                ("slash", json!({"uri": {"exact": "/a/"}})),
                ("root", json!({"uri": {"exact": "/"}})),
                ("blank", json!({"uri": {"exact": "/a%20b"}})),
            ]),
            &[
                "GET /",
                "GET /a",
                "GET /a/",
                "GET /a?b",
                "GET /a?",
                "GET /A",
                "GET /a/b",
                "GET /./a",
                "GET /b/../a",
                "GET //a",
                "GET /%61",
                "GET /a%20b",
                "GET /a%2Fb",
                "GET /a;x=y",
            ],
        ),
        Case::new(
            "prefix",
            naming(&[
                ("long", json!({"uri": {"prefix": "/shop/cart"}})),
                ("shop", json!({"uri": {"prefix": "/shop"}})),
                ("slash", json!({"uri": {"prefix": "/api/"}})),
            ]),
            &[
                "GET /shop",
                "GET /shopping",
                "GET /shop/",
                "GET /shop/carts",
                "GET /shop?cart",
                "GET /Shop",
                "GET /api",
                "GET /api/",
                "GET /api/x",
                "GET /shop/../api/",
                "GET /api//x",
                "GET /sho",
            ],
        ),
        Case::new(
            "regex",
            naming(&[
                ("digits", json!({"uri": {"regex": "/[0-9]+"}})),
                ("either", json!({"uri": {"regex": "/cat|/dog"}})),
                ("case", json!({"uri": {"regex": "(?i)/fish"}})),
                ("below", json!({"uri": {"regex": "/users/[^/]+/posts"}})),
            ]),
            &[
                "GET /12",
                "GET /12a",
                "GET /a12",
                "GET /cat",
                "GET /dog",
                "GET /cats",
                "GET /FiSH",
                "GET /users/ann/posts",
                "GET /users/ann/b/posts",
                "GET /users//posts",
                "GET /12?x=y",
            ],
        ),
        Case::new(
            "case",
            naming(&[
                ("exact", json!({"uri": {"exact": "/Exact"}, "ignoreUriCase": true})),
                ("prefix", json!({"uri": {"prefix": "/PRE"}, "ignoreUriCase": true})),
            ]),
            &["GET /exact", "GET /EXACT", "GET /exact/", "GET /prefix", "GET /PreFix", "GET /pr"],
        ),
        Case::new(
            "order",
            naming(&[
                ("wide", json!({"uri": {"prefix": "/a"}})),
                ("never", json!({"uri": {"exact": "/a/b"}})),
                ("either", json!([{"uri": {"exact": "/x"}}, {"uri": {"prefix": "/y"}}])),
            ]),
            &["GET /a/b", "GET /x", "GET /yy", "GET /xx"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn headers_choose_the_same_rule() {
    agree(&[
        Case::new(
            "headers",
            naming(&[
                ("exact", json!({"headers": {"x-user": {"exact": "ann"}}})),
                ("prefix", json!({"headers": {"x-user": {"prefix": "bo"}}})),
                ("regex", json!({"headers": {"x-user": {"regex": "c+|d+"}}})),
                ("present", json!({"headers": {"x-flag": {}}})),
                ("case", json!({"headers": {"X-Case": {"exact": "A"}}})),
                ("both", json!({"headers": {"x-one": {"exact": "1"}, "x-two": {"exact": "2"}}})),
                ("empty", json!({"headers": {"x-empty": {"exact": ""}}})),
                ("cookie", json!({"headers": {"cookie": {"regex": ".*user=ann.*"}}})),
            ]),
            &[
                "GET /", "GET / | x-user: ann", "GET / | x-user: Ann", "GET / | x-user: annie",
                "GET / | x-user: bob", "GET / | x-user: abo", "GET / | x-user: ccc", "GET / | x-user: cd",
                "GET / | x-flag: ", "GET / | x-flag: no",
                "GET / | x-case: A", "GET / | x-case: a", "GET / | x-one: 1", "GET / | x-two: 2 | x-one: 1",
                "GET / | x-empty: ", "GET / | x-empty: 1", "GET / | cookie: a=b; user=ann; c=d",
                "GET / | X-USER: ann", "GET / | x-user: ann ", "GET / | x-user: ann,bob",
                "GET / | x-user: zoe | x-user: bob", "GET / | x-user: ann | x-user: bob",
            ],
        ),
        Case::new(
            "without",
            naming(&[
                ("no-key", json!({"uri": {"prefix": "/key"}, "withoutHeaders": {"x-key": {}}})),
                ("not-red", json!({"uri": {"prefix": "/red"}, "withoutHeaders": {"x-colour": {"exact": "red"}}})),
                ("not-r", json!({"uri": {"prefix": "/r"}, "withoutHeaders": {"x-colour": {"prefix": "r"}}})),
                ("not-re", json!({"uri": {"prefix": "/e"}, "withoutHeaders": {"x-colour": {"regex": "r.*"}}})),
                ("any", json!({"uri": {"prefix": "/any"}, "withoutHeaders": {"x-colour": {"regex": ".*"}}})),
                ("none", json!({"uri": {"prefix": "/none"}, "withoutHeaders": {"x-colour": {"exact": ""}}})),
                (
                    "two",
                    json!({
                        "uri": {"prefix": "/two"},
                        "headers": {"x-user": {"exact": "ann"}},
                        "withoutHeaders": {"x-colour": {"exact": "red"}, "x-key": {}},
                    }),
                ),
            ]),
            &[
                "GET /key", "GET /key | x-key: ", "GET /key | x-key: 1", "GET /red", "GET /red | x-colour: red",
                "GET /red | x-colour: blue", "GET /r | x-colour: rose", "GET /r", "GET /e | x-colour: red",
                "GET /e", "GET /e | x-colour: blue", "GET /any", "GET /any | x-colour: red", "GET /none",
                "GET /none | x-colour: red", "GET /none | x-colour: ", "GET /two", "GET /two | x-user: ann",
                "GET /two | x-user: ann | x-key: 1", "GET /two | x-user: ann | x-colour: red",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn methods_authorities_and_parameters_choose_the_same_rule() {
    agree(&[
        Case::new(
            "method",
            naming(&[
                ("get", json!({"method": {"exact": "GET"}})),
                ("p", json!({"method": {"prefix": "P"}})),
                ("d", json!({"method": {"regex": "DELETE|HEAD|OPTIONS"}})),
            ]),
            &["GET /", "PUT /", "POST /", "PATCH /", "DELETE /", "OPTIONS /"],
        )
        .except("QUERY /", ANY_TOKEN)
        .except("get /", ANY_TOKEN),
        Case::new(
            "scheme",
            naming(&[
                ("https", json!({"scheme": {"exact": "https"}})),
                ("http", json!({"scheme": {"prefix": "http"}})),
            ]),
            &["GET /"],
        ),
        Case::new(
            "authority",
            naming(&[
                (
                    "exact",
                    json!({"uri": {"prefix": "/e"}, "authority": {"exact": "authority.example"}}),
                ),
                ("prefix", json!({"uri": {"prefix": "/p"}, "authority": {"prefix": "auth"}})),
                ("other", json!({"authority": {"exact": "other.example"}})),
            ]),
            &["GET /e", "GET /p", "GET /p | host: authority.example:8080", "GET /"],
        )
        .except("GET /e | host: AUTHORITY.example", WITHOUT_CASE_AND_PORT)
        .except("GET /e | host: authority.example:80", WITHOUT_CASE_AND_PORT)
        .except("GET /p | host: Authority.example", WITHOUT_CASE_AND_PORT),
        Case::new(
            "query",
            naming(&[
                ("exact", json!({"queryParams": {"page": {"exact": "2"}}})),
                ("prefix", json!({"queryParams": {"name": {"prefix": "an"}}})),
                ("regex", json!({"queryParams": {"id": {"regex": "[0-9]+"}}})),
                ("empty", json!({"queryParams": {"flag": {"exact": ""}}})),
                ("present", json!({"queryParams": {"page": {}}})),
                ("both", json!({"queryParams": {"a": {"exact": "1"}, "b": {"exact": "2"}}})),
            ]),
            &[
                "GET /",
                "GET /?page=2",
                "GET /?page=22",
                "GET /?x&page=2",
                "GET /?page=3&page=2",
                "GET /?page=2&page=3",
                "GET /?page",
                "GET /?name=ann",
                "GET /?name=",
                "GET /?id=1",
                "GET /?id=1a",
                "GET /?id=",
                "GET /?flag",
                "GET /?flag=",
                "GET /?flag=1",
                "GET /?b=2&a=1",
                "GET /?a=1",
                "GET /?PAGE=2",
                "GET /?page=%32",
                "GET /?p%61ge=2",
                "GET /?page=2#x",
                "GET /?&&page=2",
                "GET /?page==2",
                "GET /?page=2&",
                "GET /?page=+2",
            ],
        ),
        Case::new(
            "all-of-it",
            naming(&[(
                "all",
                json!({
                    "uri": {"regex": "/a.*"},
                    "method": {"exact": "POST"},
                    "authority": {"prefix": "all"},
                    "scheme": {"exact": "http"},
                    "headers": {"x-user": {"exact": "ann"}},
                    "withoutHeaders": {"x-key": {}},
                    "queryParams": {"page": {"exact": "2"}},
                }),
            )]),
            &[
                "POST /a?page=2 | x-user: ann",
                "POST /b?page=2 | x-user: ann",
                "GET /a?page=2 | x-user: ann",
                "POST /a?page=3 | x-user: ann",
                "POST /a?page=2 | x-user: bob",
                "POST /a?page=2 | x-user: ann | x-key: 1",
            ],
        ),
    ])
    .await;
}

const ANY_TOKEN: &str = "any token is a method (RFC 9110), where Envoy knows some";
const WITHOUT_CASE_AND_PORT: &str = "hosts have neither case nor port, wherever they are compared";
