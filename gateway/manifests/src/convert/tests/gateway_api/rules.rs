//! Rules of HTTPRoutes: precedence, filters, backends.

use std::time::Duration;

use portcullis_filters::{OriginMatch, PathRewrite, Redirect, RedirectPath, RedirectPort};
use portcullis_model::{Action, Destination, Rule};

use super::*;

/// The rules of the Gateway's only host.
fn rules(conversion: &Conversion) -> Vec<&Rule> {
    let host = &conversion.model.listeners[0].virtual_hosts[0];
    host.rules.iter().map(|rule| &**rule).collect()
}

/// The only rule of a route with this rule, where nothing is wrong.
fn only_rule(rule: &str) -> Rule {
    let conversion = converted(&[gateway(&[OPEN]), http_route("r", "", &format!("[{{{rule}}}]"))]);
    assert_eq!(problems(&conversion), [""; 0]);
    (*rules(&conversion)[0]).clone()
}

fn destinations(rule: &Rule) -> &[Destination] {
    match &rule.action {
        Action::Forward { destinations, .. } => destinations,
        other => panic!("{other:?}"),
    }
}

const BACKEND: &str = "backendRefs: [{name: v1, port: 8080}]";

#[test]
fn precedence_is_by_path_then_method_then_headers_then_parameters() {
    let matches = [
        "path: {value: /}",
        "path: {value: /}, headers: [{name: a, value: b}]",
        "path: {value: /}, queryParams: [{name: a, value: b}]",
        "path: {value: /}, headers: [{name: a, value: b}, {name: c, value: d}]",
        "path: {value: /}, method: GET",
        "path: {value: /long/prefix}",
        "path: {value: /long}, method: POST",
        "path: {type: RegularExpression, value: '/l.*'}",
        "path: {type: Exact, value: /a}",
        "path: {type: Exact, value: /long/exact}",
    ];
    let rule = |each: &&str| {
        format!("{{name: '{}', matches: [{{{each}}}], {BACKEND}}}", each.replace('\'', ""))
    };
    let written = matches.iter().map(rule).collect::<Vec<_>>().join(", ");
    let conversion = converted(&[gateway(&[OPEN]), http_route("r", "", &format!("[{written}]"))]);
    assert_eq!(problems(&conversion), [""; 0]);
    let order: Vec<_> = rules(&conversion)
        .iter()
        .map(|rule| rule.id.strip_prefix("HTTPRoute/shop/r/rules[").unwrap().to_owned())
        .collect();
    let wanted = [9, 8, 7, 5, 6, 4, 3, 1, 2, 0];
    let wanted: Vec<_> =
        wanted.iter().map(|nth: &usize| format!("{}]", matches[*nth].replace('\'', ""))).collect();
    assert_eq!(order, wanted);
}

#[test]
fn among_equals_the_oldest_route_then_the_first_name_then_the_first_rule() {
    let route = |name: &str, created: &str| {
        let rule = format!("{{{BACKEND}}}");
        http_route(name, "", &format!("[{rule}, {rule}]"))
            .replace("generation: 7", &format!("creationTimestamp: '{created}'"))
    };
    let conversion = converted(&[
        gateway(&[OPEN]),
        route("c", "2024-01-02T00:00:00Z"),
        route("b", "2024-01-02T00:00:00Z"),
        route("d", "2024-01-01T00:00:00Z"),
    ]);
    let order: Vec<_> = rules(&conversion).iter().map(|rule| rule.id.to_string()).collect();
    assert_eq!(
        order,
        ["d/rules[0]", "d/rules[1]", "b/rules[0]", "b/rules[1]", "c/rules[0]", "c/rules[1]"]
            .map(|id| format!("HTTPRoute/shop/{id}"))
    );
    let shadowed: Vec<_> = problems(&conversion);
    assert_eq!(shadowed.len(), 5, "{shadowed:#?}");
    assert!(shadowed.iter().all(|problem| problem.contains("warning[PC0309]")));
    assert!(shadowed[0].contains("HTTPRoute/shop/c spec.rules[0].matches[0]: this never matches: the requests go to HTTPRoute/shop/d/rules[0]"), "{}", shadowed[0]);
}

#[test]
fn each_match_stands_where_it_belongs() {
    let conversion = converted(&[
        gateway(&[OPEN]),
        http_route(
            "a",
            "",
            &format!(
                "[{{matches: [{{path: {{value: /}}}}, {{path: {{type: Exact, value: /x}}}}], {BACKEND}}}]"
            ),
        ),
        http_route("b", "", &format!("[{{matches: [{{path: {{value: /x/}}}}], {BACKEND}}}]")),
    ]);
    assert_eq!(
        rendered(&conversion.model),
        "edge/gw http 80 HTTP
  *
    HTTPRoute/shop/a/rules[0] =/x
      1% outbound|8080||v1.shop.svc.cluster.local
    HTTPRoute/shop/b/rules[0] /x/*
      1% outbound|8080||v1.shop.svc.cluster.local
    HTTPRoute/shop/a/rules[0] /*
      1% outbound|8080||v1.shop.svc.cluster.local
"
    );
}

#[test]
fn header_modifiers_change_both_heads() {
    let rule = only_rule(&format!(
        "filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: X-A, value: '1'}}], add: [{{name: x-b, value: '2'}}], remove: [x-c]}}}}, {{type: ResponseHeaderModifier, responseHeaderModifier: {{remove: [x-d]}}}}], {BACKEND}"
    ));
    let (set, add, remove) =
        (&rule.request_headers.set, &rule.request_headers.add, &rule.request_headers.remove);
    assert_eq!((set[0].0.as_str(), set[0].1.to_str().unwrap()), ("x-a", "1"));
    assert_eq!((add[0].0.as_str(), add[0].1.to_str().unwrap()), ("x-b", "2"));
    assert_eq!((remove[0].as_str(), rule.response_headers.remove[0].as_str()), ("x-c", "x-d"));
}

fn redirect(written: &str) -> Redirect {
    let rule =
        only_rule(&format!("filters: [{{type: RequestRedirect, requestRedirect: {{{written}}}}}]"));
    match rule.action {
        Action::Redirect(redirect) => redirect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_names_what_changes() {
    let plain = redirect("hostname: example.org");
    assert_eq!((plain.status.as_u16(), plain.authority.as_deref()), (302, Some("example.org")));
    assert_eq!((plain.port, &plain.path), (RedirectPort::OfListener, &RedirectPath::Keep));
    let scheme = redirect("scheme: https, statusCode: 308");
    assert_eq!((scheme.status.as_u16(), scheme.scheme.as_deref()), (308, Some("https")));
    assert_eq!(scheme.port, RedirectPort::OfScheme);
    assert_eq!(redirect("scheme: http, port: 8080").port, RedirectPort::This(8080));
    let path = redirect("path: {type: ReplaceFullPath, replaceFullPath: /new}").path;
    assert_eq!(path, RedirectPath::Prefix(PathRewrite::Whole("/new".into())));
    let path = redirect("path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}").path;
    assert_eq!(path, RedirectPath::Prefix(PathRewrite::Matched("/new".into())));
}

#[test]
fn a_rewrite_changes_host_and_path() {
    let rule = only_rule(&format!(
        "filters: [{{type: URLRewrite, urlRewrite: {{hostname: one.example.org, path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}], {BACKEND}"
    ));
    let Action::Forward { path_rewrite, authority_rewrite, .. } = rule.action else {
        panic!("it forwards")
    };
    assert_eq!(path_rewrite, Some(PathRewrite::Matched("/".into())));
    assert_eq!(authority_rewrite.as_deref(), Some("one.example.org"));
}

#[test]
fn requests_are_mirrored_in_part() {
    let mirror = |part: &str| {
        let rule = only_rule(&format!(
            "filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: v2, port: 8080}}{part}}}}}], {BACKEND}"
        ));
        (rule.mirrors[0].cluster.to_string(), rule.mirrors[0].parts_per_million)
    };
    let v2 = "outbound|8080||v2.shop.svc.cluster.local".to_owned();
    assert_eq!(mirror(""), (v2.clone(), 1_000_000));
    assert_eq!(mirror(", percent: 0"), (v2.clone(), 0));
    assert_eq!(mirror(", percent: 25"), (v2.clone(), 250_000));
    assert_eq!(mirror(", fraction: {numerator: 1}"), (v2.clone(), 10_000));
    assert_eq!(mirror(", fraction: {numerator: 1, denominator: 3}"), (v2, 333_333));
    let filter = "{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 8080}}}";
    assert_eq!(only_rule(&format!("filters: [{filter}, {filter}], {BACKEND}")).mirrors.len(), 2);
}

#[test]
fn cross_origin_requests_are_allowed_as_written() {
    let rule = only_rule(&format!(
        "filters: [{{type: CORS, cors: {{allowOrigins: ['https://a.example.com', 'https://*.b.example.com:8443', '*'], allowMethods: [GET, PUT], allowHeaders: ['*'], exposeHeaders: [X-One], allowCredentials: true, maxAge: 60}}}}], {BACKEND}"
    ));
    let cors = rule.filters.unwrap().cors.unwrap();
    let wild = OriginMatch::Subdomains {
        scheme: "https://".into(),
        suffix: ".b.example.com".into(),
        port: ":8443".into(),
    };
    let exact = OriginMatch::Exact("https://a.example.com".into());
    assert_eq!(cors.allow_origins, [exact, wild, OriginMatch::Any]);
    assert_eq!(cors.allow_methods.as_deref(), Some("GET, PUT"));
    assert_eq!(cors.allow_headers.as_deref(), Some("*"));
    assert_eq!(cors.expose_headers.as_deref(), Some("X-One"));
    assert_eq!((cors.allow_credentials, cors.max_age), (Some(true), Some(Duration::from_secs(60))));
}

#[test]
fn times_and_repeats() {
    let rule =
        only_rule(&format!("timeouts: {{request: 10s, backendRequest: 1s500ms}}, {BACKEND}"));
    assert_eq!(rule.timeout, Some(Duration::from_secs(10)));
    assert_eq!(rule.retries.per_try_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(rule.retries.attempts, 2);
    let rule = only_rule(&format!("timeouts: {{request: 0s, backendRequest: 0s}}, {BACKEND}"));
    assert_eq!((rule.timeout, rule.retries.per_try_timeout), (None, None));
    let rule =
        only_rule(&format!("retry: {{codes: [500, 503], attempts: 4, backoff: 100ms}}, {BACKEND}"));
    let statuses: Vec<u16> = rule.retries.statuses.iter().map(|status| status.as_u16()).collect();
    assert_eq!((rule.retries.attempts, statuses), (4, vec![500, 503]));
    assert_eq!(rule.retries.backoff, Duration::from_millis(100));
    assert!(rule.retries.on.connect_failure && rule.retries.on.reset);
}

#[test]
fn backends_share_by_weight_and_have_filters_of_their_own() {
    let rule = only_rule(
        "backendRefs: [{name: v1, port: 8080, weight: 3, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-to, value: v1}]}}, {type: URLRewrite, urlRewrite: {hostname: v1.example.org, path: {type: ReplaceFullPath, replaceFullPath: /v1}}}]}, {name: v2, port: 8080, weight: 0}, {name: v2, port: 8080, filters: [{type: RequestRedirect, requestRedirect: {port: 99}}]}]",
    );
    let all = destinations(&rule);
    assert_eq!(all.iter().map(|each| each.weight).collect::<Vec<_>>(), [3, 0, 1]);
    assert_eq!(all[0].request_headers.set.len(), 1);
    let change = all[0].change.as_ref().unwrap();
    assert_eq!(change.authority_rewrite.as_deref(), Some("v1.example.org"));
    assert_eq!(change.path_rewrite, Some(PathRewrite::Whole("/v1".into())));
    assert_eq!(all[1].change, None);
    let change = all[2].change.as_ref().unwrap();
    assert_eq!(change.redirect.as_ref().unwrap().port, RedirectPort::This(99));
}

#[test]
fn a_backend_that_is_none_costs_its_share() {
    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec: {ports: [{port: 80}]}\n";
    let of = |backend: &str, grant: &str| {
        let rules = format!("[{{backendRefs: [{{name: v1, port: 8080}}, {{{backend}}}]}}]");
        converted(&[
            gateway(&[OPEN]),
            http_route("r", "", &rules),
            other.to_owned(),
            grant.to_owned(),
        ])
    };
    let cases = [
        ("name: none, port: 80", "BackendNotFound", "PC0304", "spec.rules[0].backendRefs[1].name"),
        ("name: v1, port: 81", "BackendNotFound", "PC0306", "spec.rules[0].backendRefs[1].port"),
        ("name: v1", "BackendNotFound", "PC0306", "spec.rules[0].backendRefs[1].port"),
        (
            "kind: Pod, name: v1, port: 80",
            "InvalidKind",
            "PC0211",
            "spec.rules[0].backendRefs[1].kind",
        ),
        ("group: example.com, kind: Service, name: v1, port: 80", "InvalidKind", "PC0211", "kind"),
        ("name: far, namespace: other, port: 80", "RefNotPermitted", "PC0345", "backendRefs[1]:"),
    ];
    for (backend, reason, code, field) in cases {
        let conversion = of(backend, "");
        let route = rules(&conversion)[0];
        let second = &destinations(route)[1];
        assert!(!conversion.model.clusters.contains_key(&second.cluster), "{backend}");
        assert_eq!(second.change.as_ref().unwrap().missing.unwrap().as_u16(), 500, "{backend}");
        assert_eq!(
            route_conditions(&conversion, "HTTPRoute/shop/r"),
            format!("Accepted(Accepted) !ResolvedRefs({reason})"),
            "{backend}"
        );
        let problems = problems(&conversion);
        assert!(
            problems[0].contains(code) && problems[0].contains(field),
            "{backend}: {problems:?}"
        );
    }
}

#[test]
fn a_reference_grant_opens_what_it_names_and_no_more() {
    let far = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec: {ports: [{port: 80}]}\n";
    let permits = |from: &str, to: &str, namespace: &str| {
        let grant = format!(
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\nspec: {{from: [{{{from}}}], to: [{{{to}}}]}}\n"
        );
        let route =
            http_route("r", "", "[{backendRefs: [{name: far, namespace: other, port: 80}]}]");
        let conversion = converted(&[gateway(&[OPEN]), route, far.to_owned(), grant]);
        route_conditions(&conversion, "HTTPRoute/shop/r")
            == "Accepted(Accepted) ResolvedRefs(ResolvedRefs)"
    };
    let from = "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop";
    assert!(permits(from, "group: '', kind: Service", "other"));
    assert!(permits(from, "group: '', kind: Service, name: far", "other"));
    assert!(!permits(from, "group: '', kind: Service, name: near", "other"));
    assert!(!permits(from, "group: '', kind: Secret", "other"));
    assert!(!permits(from, "group: '', kind: Service", "shop"));
    let (kind, namespace) = (from.replace("HTTPRoute", "GRPCRoute"), from.replace("shop", "edge"));
    assert!(!permits(&kind, "group: '', kind: Service", "other"));
    assert!(!permits(&namespace, "group: '', kind: Service", "other"));
}

#[test]
fn a_rule_that_leads_nowhere_answers_500() {
    for written in ["{}", "{backendRefs: []}", "{backendRefs: [{name: v1, port: 8080, weight: 0}]}"]
    {
        let conversion =
            converted(&[gateway(&[OPEN]), http_route("r", "", &format!("[{written}]"))]);
        let rule = rules(&conversion)[0];
        let Action::DirectResponse(response) = &rule.action else { panic!("{written}") };
        assert_eq!(response.status.as_u16(), 500);
        assert!(problems(&conversion)[0].contains("warning[PC0217]"), "{written}");
        assert!(
            route_conditions(&conversion, "HTTPRoute/shop/r").starts_with("Accepted(Accepted)")
        );
    }
}

#[test]
fn a_filter_that_is_not_served_lets_nothing_pass() {
    let filter = "{type: ExtensionRef, extensionRef: {group: example.com, kind: Thing, name: x}}";
    let broken = format!("{{matches: [{{path: {{value: /x}}}}], filters: [{filter}], {BACKEND}}}");
    let of = |rules: &str| converted(&[gateway(&[OPEN]), http_route("r", "", rules)]);
    let all = of(&format!("[{broken}]"));
    assert!(matches!(&rules(&all)[0].action, Action::DirectResponse(reply) if reply.status == 500));
    assert_eq!(
        route_conditions(&all, "HTTPRoute/shop/r"),
        "!Accepted(UnsupportedValue) ResolvedRefs(ResolvedRefs)"
    );
    let some = of(&format!("[{broken}, {{{BACKEND}}}]"));
    assert_eq!(
        route_conditions(&some, "HTTPRoute/shop/r"),
        "Accepted(Accepted) ResolvedRefs(ResolvedRefs) PartiallyInvalid(UnsupportedValue)"
    );
    assert!(
        problems(&some)[0].contains("error[PC0211] HTTPRoute/shop/r spec.rules[0].filters[0]:")
    );
}

#[test]
fn a_service_entry_takes_requests_too() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: outside, namespace: shop}\nspec:\n  hosts: [api.example.org]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC\n  endpoints: [{address: 10.1.1.1}]\n";
    for backend in [
        "group: networking.istio.io, kind: ServiceEntry, name: outside, port: 80",
        "group: networking.istio.io, kind: Hostname, name: api.example.org, port: 80",
    ] {
        let route = http_route("r", "", &format!("[{{backendRefs: [{{{backend}}}]}}]"));
        let conversion = converted(&[gateway(&[OPEN]), entry.to_owned(), route]);
        assert_eq!(problems(&conversion), [""; 0]);
        let cluster = destinations(rules(&conversion)[0])[0].cluster.to_string();
        assert_eq!(cluster, "outbound|80||api.example.org");
    }
}

#[test]
fn a_service_of_another_namespace_is_no_more_open_by_its_host() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: vault, namespace: bank}\nspec:\n  ports: [{port: 80}]\n  selector: {app: vault}\n";
    let grant = "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: bank}\nspec:\n  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]\n  to: [{group: '', kind: Service}]\n";
    let backend =
        "group: networking.istio.io, kind: Hostname, name: vault.bank.svc.cluster.local, port: 80";
    let route = http_route("r", "", &format!("[{{backendRefs: [{{{backend}}}]}}]"));
    let closed = converted(&[gateway(&[OPEN]), service.to_owned(), route.clone()]);
    assert!(
        problems(&closed)[0].contains("error[PC0345] HTTPRoute/shop/r"),
        "{:?}",
        problems(&closed)
    );
    assert_eq!(destinations(rules(&closed)[0])[0].cluster.port, 0);
    let open = converted(&[gateway(&[OPEN]), service.to_owned(), route, grant.to_owned()]);
    assert_eq!(destinations(rules(&open)[0])[0].cluster.port, 80);
}

#[test]
fn plugins_and_policies_reach_a_route_or_one_rule() {
    let plugin = |name: &str, section: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  url: file:///x.wasm\n  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{section}}}]\n"
        )
    };
    let policy = "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  targetRefs: [{kind: HTTPRoute, name: r, sectionName: one}]\n  limits: {requestBody: 1Ki}\n";
    let named =
        format!("[{{name: one, matches: [{{path: {{value: /one}}}}], {BACKEND}}}, {{{BACKEND}}}]");
    let conversion = converted(&[
        gateway(&[OPEN]),
        http_route("r", "", &named),
        plugin("all", ""),
        plugin("some", ", sectionName: one"),
        policy.to_owned(),
    ]);
    assert_eq!(problems(&conversion), [""; 0]);
    let shown: Vec<_> = rules(&conversion)
        .iter()
        .map(|rule| {
            let names: Vec<_> = rule.plugins.iter().map(|id| id.name.to_string()).collect();
            (rule.id.to_string(), names.join(","), rule.overrides.max_body)
        })
        .collect();
    let (one, other) = ("HTTPRoute/shop/r/rules[one]", "HTTPRoute/shop/r/rules[1]");
    assert_eq!(shown[0], (one.to_owned(), "all,some".to_owned(), Some(Some(1024))));
    assert_eq!(shown[1], (other.to_owned(), "all".to_owned(), None));
    let lost = converted(&[
        gateway(&[OPEN]),
        http_route("r", "", &named),
        plugin("x", ", sectionName: two"),
    ]);
    assert!(problems(&lost)[0].contains("error[PC0317]"), "{:?}", problems(&lost));
    assert!(rules(&lost).iter().all(|rule| rule.plugins.len() == 1));
    let missing = converted(&[gateway(&[OPEN]), plugin("x", "")]);
    assert!(
        problems(&missing)[0].contains("there is no HTTPRoute `shop/r`"),
        "{:?}",
        problems(&missing)
    );
}
