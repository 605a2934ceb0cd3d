//! What filters do to requests and replies.

use portcullis_testkit::Call;

use super::*;

fn filter(path: &str, filters: &str, rest: &str) -> String {
    format!("matches: [{{path: {{value: {path}}}}}], filters: [{filters}]{rest}")
}

fn redirect(path: &str, written: &str) -> String {
    filter(path, &format!("{{type: RequestRedirect, requestRedirect: {{{written}}}}}"), "")
}

fn rewrite(path: &str, written: &str) -> String {
    let filters = format!("{{type: URLRewrite, urlRewrite: {{{written}}}}}");
    filter(path, &filters, ", backendRefs: [{name: v1, port: 80}]")
}

async fn with(rules: &[String]) -> Estate {
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    Estate::with_rules(&rules).await
}

#[tokio::test]
async fn redirects_change_what_they_name() {
    let mut estate = Estate::open(&[
        api_gateway(&[HTTP, "name: other, port: 8080, protocol: HTTP"]),
        http_route(
            "r",
            "",
            &[
                &redirect("/host", "hostname: example.org"),
                &redirect("/status", "hostname: example.org, statusCode: 301"),
                &redirect("/scheme", "scheme: https, hostname: example.org"),
                &redirect("/plain", "scheme: http"),
                &redirect("/port", "port: 8083"),
                &redirect("/known", "scheme: https, port: 443"),
                &redirect("/unknown", "scheme: https, port: 8443, statusCode: 308"),
                &redirect("/whole", "path: {type: ReplaceFullPath, replaceFullPath: /new/path}"),
                &redirect(
                    "/prefix",
                    "path: {type: ReplacePrefixMatch, replacePrefixMatch: /replaced}",
                ),
                &redirect("/less", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
                &redirect(
                    "/303",
                    "statusCode: 303, path: {type: ReplaceFullPath, replaceFullPath: /x}",
                ),
                &redirect(
                    "/307",
                    "statusCode: 307, path: {type: ReplaceFullPath, replaceFullPath: /x}",
                ),
            ],
        ),
    ])
    .await;
    let mut other = Client::http1(estate.gateway.address("other")).await.unwrap();
    for (path, status, location, on_other) in [
        ("/host/x?q=1", 302, "http://example.org/host/x?q=1", "http://example.org:8080/host/x?q=1"),
        ("/status", 301, "http://example.org/status", "http://example.org:8080/status"),
        ("/scheme", 302, "https://example.org/scheme", "https://example.org/scheme"),
        ("/plain", 302, "http://a.test/plain", "http://a.test/plain"),
        ("/port", 302, "http://a.test:8083/port", "http://a.test:8083/port"),
        ("/known", 302, "https://a.test/known", "https://a.test/known"),
        ("/unknown", 308, "https://a.test:8443/unknown", "https://a.test:8443/unknown"),
        ("/whole/x", 302, "http://a.test/new/path", "http://a.test:8080/new/path"),
        ("/prefix/lemon", 302, "http://a.test/replaced/lemon", "http://a.test:8080/replaced/lemon"),
        ("/less/more/?q", 302, "http://a.test/more/?q", "http://a.test:8080/more/?q"),
        ("/less", 302, "http://a.test/", "http://a.test:8080/"),
        ("/303", 303, "http://a.test/x", "http://a.test:8080/x"),
        ("/307", 307, "http://a.test/x", "http://a.test:8080/x"),
    ] {
        for (client, host, location) in
            [(&mut estate.client, "a.test", location), (&mut other, "a.test:8080", on_other)]
        {
            let reply = client.get(host, path).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("location")),
                (status, location),
                "{host}{path}"
            );
        }
    }
}

#[tokio::test]
async fn rewrites_change_the_host_and_the_path() {
    let mut estate = with(&[
        rewrite("/one", "hostname: one.example.org"),
        rewrite("/prefix/one", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}"),
        rewrite("/strip", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
        rewrite("/none", "path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}"),
        rewrite("/full", "path: {type: ReplaceFullPath, replaceFullPath: /one}"),
        rewrite(
            "/both",
            "hostname: two.example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b/}",
        ),
    ])
    .await;
    for (path, host, rewritten) in [
        ("/one/x?q=1", "one.example.org", "/one/x?q=1"),
        ("/prefix/one/two", "a.test", "/one/two"),
        ("/prefix/one", "a.test", "/one"),
        ("/strip/three", "a.test", "/three"),
        ("/strip", "a.test", "/"),
        ("/strip/", "a.test", "/"),
        ("/none/x", "a.test", "/x"),
        ("/none", "a.test", "/"),
        ("/full/x?q=1", "a.test", "/one?q=1"),
        ("/both/c", "two.example.org", "/b/c"),
    ] {
        let seen = estate.client.get("a.test", path).await.json();
        assert_eq!(seen["path"], rewritten, "{path}");
        assert_eq!(seen["headers"]["host"], host, "{path}");
    }
}

#[tokio::test]
async fn headers_of_requests_and_replies_are_set_added_and_removed() {
    let request = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: x-add, value: more}], remove: [x-gone]}}";
    let reply = "{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-set, value: new}], add: [{name: x-add, value: more}], remove: [x-gone]}}";
    let mut estate = with(&[
        filter("/", &format!("{request}, {reply}"), ", backendRefs: [{name: v1, port: 80}]"),
        filter(
            "/backend",
            "",
            &format!(", backendRefs: [{{name: v1, port: 80, filters: [{request}, {reply}]}}]"),
        ),
    ])
    .await;
    for path in ["/", "/backend"] {
        let mut call = Call::get("a.test", path);
        for name in ["x-set", "x-add", "x-gone"] {
            call = call.header(name, "old").header(&format!("x-reply-{name}"), "old");
        }
        let reply = estate.client.call(call).await;
        let seen = reply.json();
        assert_eq!(seen["headers"]["x-set"], "new", "{path}: {seen}");
        assert!(seen["headers"]["x-add"].to_string().contains("more"), "{path}: {seen}");
        assert!(seen["headers"].get("x-gone").is_none(), "{path}: {seen}");
        assert_eq!(reply.header("x-set"), "new");
        assert_eq!(reply.headers.get_all("x-add").iter().count(), 2);
        assert!(reply.headers.get("x-gone").is_none());
    }
}

#[tokio::test]
async fn one_backend_rewrites_or_redirects_its_own_requests() {
    let mut estate = with(&[
        "matches: [{path: {value: /rewritten}}], backendRefs: [{name: v1, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: own.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /own}}}]}]".to_owned(),
        "matches: [{path: {value: /redirected}}], backendRefs: [{name: v1, port: 80, filters: [{type: RequestRedirect, requestRedirect: {hostname: own.test}}]}]".to_owned(),
    ])
    .await;
    let seen = estate.client.get("a.test", "/rewritten/x").await.json();
    assert_eq!((&seen["path"], &seen["headers"]["host"]), (&"/own/x".into(), &"own.test".into()));
    let reply = estate.client.get("a.test", "/redirected/x").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (302, "http://own.test/redirected/x")
    );
}

#[tokio::test]
async fn requests_are_mirrored_to_each_mirror() {
    let mirror = |name: &str| {
        format!(
            "{{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}, port: 80}}}}}}"
        )
    };
    let none =
        "{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}, percent: 0}}";
    let to_v1 = ", backendRefs: [{name: v1, port: 80}]";
    let mut estate = with(&[
        filter("/both", &format!("{}, {}", mirror("v2"), mirror("v3")), to_v1),
        filter("/none", none, to_v1),
    ])
    .await;
    assert_eq!(estate.client.get("a.test", "/none").await.upstream(), "v1");
    assert_eq!(estate.client.get("a.test", "/both").await.upstream(), "v1");
    for mirror in &estate.upstreams[1..] {
        let seen = mirror.until(|seen| seen.requests > 0).await;
        assert_eq!(seen.requests, 1, "{}", mirror.name());
    }
}

#[tokio::test]
async fn scripts_of_other_origins_are_let_in_as_the_filter_says() {
    let cors = "{type: CORS, cors: {allowOrigins: ['https://www.foo.test', 'https://*.bar.test'], allowMethods: [GET, PUT], allowHeaders: [x-one], exposeHeaders: [x-two], allowCredentials: true, maxAge: 3600}}";
    let mut estate = with(&[filter("/", cors, ", backendRefs: [{name: v1, port: 80}]")]).await;
    let preflight = |origin: &str| {
        Call::new("OPTIONS", "a.test", "/")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "x-one")
    };
    for origin in ["https://www.foo.test", "https://a.b.bar.test"] {
        let reply = estate.client.call(preflight(origin)).await;
        assert_eq!(reply.upstream(), "", "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-methods"), "GET, PUT");
        assert_eq!(reply.header("access-control-allow-headers"), "x-one");
        assert_eq!(reply.header("access-control-max-age"), "3600");
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        let actual = Call::get("a.test", "/").header("origin", origin);
        let reply = estate.client.call(actual).await;
        assert_eq!((reply.upstream(), reply.header("access-control-allow-origin")), ("v1", origin));
        assert_eq!(reply.header("access-control-expose-headers"), "x-two");
    }
    for origin in
        ["https://foo.test", "http://www.foo.test", "https://bar.test", "https://www.foo.test:8443"]
    {
        let reply = estate.client.call(preflight(origin)).await;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(reply.upstream(), "", "{origin}");
    }
}

#[tokio::test]
async fn what_a_filter_that_is_not_served_would_have_filtered_gets_500() {
    let extension =
        "{type: ExtensionRef, extensionRef: {group: example.com, kind: Thing, name: x}}";
    let mut estate =
        with(&[filter("/x", extension, ", backendRefs: [{name: v1, port: 80}]"), TO_V2.to_owned()])
            .await;
    assert_eq!(estate.client.get("a.test", "/x").await.status, 500);
    assert_eq!(estate.client.get("a.test", "/y").await.upstream(), "v2");
}
