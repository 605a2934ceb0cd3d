//! Every field of a VirtualService's rules: what reaches the model, and what is wrong with wrong values.

use std::time::Duration;

use http::StatusCode;
use portcullis_filters::{
    AbortStatus, OriginMatch, PathRewrite, RedirectPort, UnmatchedPreflights,
};
use portcullis_model::{
    Action, ClaimSense, HeaderOrder, PathCase, PathMatch, RequestMatch, Rule, StringMatch,
};

use super::{Conversion, GATEWAY, REVIEWS, convert, only_problem, problems, route};

const ANSWER: &str = "directResponse: {status: 200}";

/// One rule with these further fields, converted beside a Gateway and a service.
fn convert_rule(fields: &str) -> Conversion {
    let text = route("a", "a.example.com", &format!("[{{{fields}}}]"));
    convert(&[("gw.yaml", GATEWAY), ("r.yaml", REVIEWS), ("a.yaml", &text)])
}

fn only_rule(conversion: &Conversion) -> &Rule {
    &conversion.model.listeners[0].virtual_hosts[0].rules[0]
}

/// One match, without a problem.
fn read_match(text: &str) -> RequestMatch {
    let conversion = convert_rule(&format!("match: [{{{text}}}], {ANSWER}"));
    assert_eq!(problems(&conversion), [""; 0], "{text}");
    only_rule(&conversion).matches[0].clone()
}

/// The field within the rule and the code of every error or warning, for each text.
fn assert_said(wrap: impl Fn(&str) -> String, cases: &[(&str, &str, &str)]) {
    for (text, code, said) in cases {
        let conversion = convert_rule(&wrap(text));
        let found = problems(&conversion);
        let is_it = |problem: &String| problem.contains(code) && problem.contains(said);
        assert!(found.iter().any(is_it), "{text}: {code} {said} is not in {found:#?}");
    }
}

fn exact(text: &str) -> Option<StringMatch> {
    Some(StringMatch::Exact(text.into()))
}

#[test]
fn every_condition_reaches_the_model() {
    let found = read_match(
        "name: m, statPrefix: s, uri: {prefix: /A}, ignoreUriCase: true, scheme: {exact: https}, method: {regex: 'GET|HEAD'}, authority: {prefix: Shop.}, port: 80, gateways: [edge/gw]",
    );
    assert_eq!(found.path, Some(PathMatch::Prefix("/A".into())));
    assert_eq!(found.path_case, PathCase::Ignored);
    assert_eq!(found.scheme, exact("https"));
    assert!(found.method.unwrap().matches("HEAD"));
    assert_eq!(found.authority, Some(StringMatch::Prefix("shop.".into())));
    assert_eq!((found.port, &*found.gateways[0]), (Some(80), "edge/gw"));
    let found = read_match(
        "headers: {x-a: {regex: 'v[0-9]+'}, x-b: {}}, withoutHeaders: {x-c: {exact: '1'}, x-d: {}}, queryParams: {q: {prefix: a}, r: {exact: ''}, s: {}}",
    );
    assert!(found.headers[0].value.as_ref().unwrap().matches("v12"));
    assert!(!found.headers[0].value.as_ref().unwrap().matches("v12x"));
    assert_eq!(found.headers[1].value, None);
    assert_eq!(found.without_headers[0].value, exact("1"));
    assert_eq!(found.without_headers[1].value, None);
    let query: Vec<_> = found.query.iter().map(|each| (&*each.name, each.value.clone())).collect();
    assert_eq!(
        query,
        [("q", Some(StringMatch::Prefix("a".into()))), ("r", exact("")), ("s", None)]
    );
    let PathMatch::Pattern(pattern) = read_match("uri: {regex: '/v[12]/.*'}").path.unwrap() else {
        panic!("it is an expression")
    };
    assert!(pattern.matches("/v1/x") && !pattern.matches("/v3/x"));
}

#[test]
fn conditions_on_claims_are_no_headers() {
    let found = read_match(
        "headers: {'@request.auth.claims.groups': {exact: dev}, '@request.auth.claims[a.b][c]': {}}, withoutHeaders: {'@request.auth.claims.sub': {prefix: bot}}",
    );
    assert!(found.headers.is_empty() && found.without_headers.is_empty());
    let claims: Vec<_> =
        found.claims.iter().map(|claim| (claim.path.join(" "), claim.sense)).collect();
    let wanted =
        [("groups", ClaimSense::Holds), ("a.b c", ClaimSense::Holds), ("sub", ClaimSense::Fails)];
    assert_eq!(claims, wanted.map(|(path, sense)| (path.to_owned(), sense)));
    assert_eq!((found.claims[0].value.clone(), &found.claims[1].value), (exact("dev"), &None));
}

#[test]
fn sources_are_held_against_each_gateway() {
    let gateways = format!(
        "{GATEWAY}---{}",
        GATEWAY
            .replace("name: gw, namespace: edge", "name: gw, namespace: other")
            .replace("istio: ingressgateway", "istio: other")
    );
    let of = |conditions: &str| {
        let text = route("a", "*", &format!("[{{match: [{{{conditions}}}], {ANSWER}}}]"))
            .replace("[edge/gw]", "[edge/gw, other/gw]");
        let conversion = convert(&[("gw.yaml", &gateways), ("a.yaml", &text)]);
        let found = only_rule(&conversion).matches[0].clone();
        (found.gateways, found.never, problems(&conversion))
    };
    let (named, never, said) = of("sourceLabels: {istio: ingressgateway}");
    assert_eq!((named.len(), &*named[0], never, said.len()), (1, "edge/gw", false, 0));
    let (named, never, said) = of("sourceNamespace: other");
    assert_eq!((named.len(), &*named[0], never, said.len()), (1, "other/gw", false, 0));
    let (_, never, said) = of("sourceNamespace: other, sourceLabels: {istio: ingressgateway}");
    assert!(never && said.len() == 1 && said[0].contains("PC0222"), "{said:#?}");
    // As in Istio, they mean nothing beside `gateways`.
    let (named, never, said) = of("gateways: [other/gw], sourceLabels: {istio: ingressgateway}");
    assert_eq!((&*named[0], never), ("other/gw", false));
    assert!(said.len() == 1 && said[0].contains("PC0217"), "{said:#?}");
}

#[test]
fn every_wrong_match_is_said_at_its_place() {
    let long = format!("uri: {{regex: '{}'}}", "a".repeat(1025));
    assert_said(
        |text| format!("match: [{{{text}}}], {ANSWER}"),
        &[
            ("uri: {exact: /a, regex: /b}", "PC0212", "match[0].uri: only one of"),
            ("uri: {}", "PC0210", "match[0].uri: the condition says nothing"),
            ("uri: /a", "PC0208", "match[0].uri: this has to be a mapping"),
            ("uri: {suffix: /a}", "PC0206", "has no field `suffix`"),
            ("uri: {exact: a}", "PC0210", "every path begins with `/`"),
            ("uri: {prefix: 1}", "PC0208", "uri.prefix: this has to be a string"),
            ("uri: {regex: 'a['}", "PC0218", "uri.regex: unclosed character class"),
            ("uri: {regex: '(?=a)'}", "PC0218", "look-around"),
            ("uri: {regex: '((a{100}){100}){100}'}", "PC0219", "uri.regex: the expression is too"),
            (&long, "PC0219", "longer than 1 KiB"),
            ("uri: {regex: '/a'}, ignoreUriCase: true", "PC0217", "means nothing to a `regex`"),
            ("ignoreUriCase: 'yes'", "PC0208", "ignoreUriCase: this has to be a boolean"),
            ("scheme: {exact: HTTP}", "PC0222", "scheme: the scheme of a request is"),
            ("scheme: {regex: '('}", "PC0218", "match[0].scheme.regex"),
            ("method: {}", "PC0210", "method: the condition says nothing"),
            ("authority: {exact: 1}", "PC0208", "authority.exact"),
        ],
    );
}

#[test]
fn every_wrong_condition_is_said_at_its_place() {
    assert_said(
        |text| format!("match: [{{{text}}}], {ANSWER}"),
        &[
            ("headers: [a]", "PC0208", "headers: this has to be a mapping"),
            ("headers: {'a b': {}}", "PC0210", "`a b` is no name of a header field"),
            ("headers: {uri: {exact: /}}", "PC0217", "the header `uri` is ignored in a match"),
            ("headers: {'@request.auth': {}}", "PC0210", "`@request.auth` names no claim"),
            ("headers: {'@request.auth.claims.a': {exact: 1}}", "PC0208", "exact"),
            ("withoutHeaders: {x: {regex: '['}}", "PC0218", "withoutHeaders.x.regex"),
            ("withoutHeaders: {'@x': {}}", "PC0210", "`@x` names no claim"),
            ("withoutHeaders: {method: {exact: GET}}", "PC0217", "the header `method` is ignored"),
            ("queryParams: {'a=b': {}}", "PC0210", "is no name of a query parameter"),
            ("queryParams: {a: {regex: '('}}", "PC0218", "queryParams.a.regex"),
            ("port: 70000", "PC0210", "port: 70000 is not from 1 to 65535"),
            ("gateways: [other]", "PC0222", "gateways[0]: `other` is none of the route's own"),
            ("gateways: edge/gw", "PC0208", "gateways: this has to be a list"),
            ("sourceLabels: [a]", "PC0208", "sourceLabels: this has to be a mapping"),
            ("sourceLabels: {app: x}", "PC0222", "match[0]: `sourceLabels` and"),
            ("sourceNamespace: 1", "PC0208", "sourceNamespace: this has to be a string"),
            ("name: 1", "PC0208", "match[0].name"),
            ("statPrefix: 1", "PC0208", "match[0].statPrefix"),
        ],
    );
    let elsewhere = convert_rule(&format!("match: [{{gateways: [mesh]}}], {ANSWER}"));
    assert!(only_rule(&elsewhere).matches[0].never, "the mesh is none of ours");
}

#[test]
fn every_rewrite_and_redirect_reaches_the_model() {
    let to = "route: [{destination: {host: reviews.example.com}}]";
    let conversion = convert_rule(&format!(
        "{to}, rewrite: {{uriRegexRewrite: {{match: '^/a/([^/]+)', rewrite: '/b/\\1'}}, authority: x.example}}"
    ));
    assert_eq!(problems(&conversion), [""; 0]);
    let Action::Forward { path_rewrite, authority_rewrite, .. } = &only_rule(&conversion).action
    else {
        panic!("it forwards")
    };
    let Some(PathRewrite::Pattern(substitution)) = path_rewrite else { panic!("{path_rewrite:?}") };
    assert_eq!(substitution.apply("/a/x/y").as_deref(), Some("/b/x/y"));
    assert_eq!(authority_rewrite.as_deref(), Some("x.example"));
    for (written, port) in [
        ("FROM_PROTOCOL_DEFAULT", RedirectPort::OfScheme),
        ("FROM_REQUEST_PORT", RedirectPort::OfListener),
    ] {
        let conversion = convert_rule(&format!("redirect: {{derivePort: {written}}}"));
        assert_eq!(problems(&conversion), [""; 0]);
        let Action::Redirect(redirect) = &only_rule(&conversion).action else { panic!() };
        assert_eq!(redirect.port, port);
    }
}

#[test]
fn the_host_of_one_destination_is_a_change_of_it_alone() {
    let conversion = convert_rule(
        "route: [{destination: {host: reviews.example.com}, weight: 50, headers: {request: {set: {Host: one.example, x-a: b}}}}, {destination: {host: reviews.example.com}, weight: 50}]",
    );
    assert_eq!(problems(&conversion), [""; 0]);
    let Action::Forward { destinations, .. } = &only_rule(&conversion).action else { panic!() };
    let change = destinations[0].change.as_ref().unwrap();
    assert_eq!(change.authority_rewrite.as_deref(), Some("one.example"));
    assert_eq!(destinations[0].request_headers.set.len(), 1);
    assert!(destinations[1].change.is_none());
}

#[test]
fn a_rules_host_counts_whatever_its_destinations_say() {
    let own = "{destination: {host: reviews.example.com}, weight: 1, headers: {request: {set: {Host: one.example}}}}";
    for rule in
        ["rewrite: {authority: all.example}", "headers: {request: {set: {Host: all.example}}}"]
    {
        let conversion = convert_rule(&format!("route: [{own}, {own}], {rule}"));
        let Action::Forward { destinations, authority_rewrite, .. } =
            &only_rule(&conversion).action
        else {
            panic!()
        };
        assert_eq!(authority_rewrite.as_deref(), Some("all.example"));
        let changes = destinations.iter().filter_map(|each| each.change.as_ref());
        assert!(changes.into_iter().all(|change| change.authority_rewrite.is_none()));
        let said = problems(&conversion);
        let is_said = |index: usize| {
            let field = format!("http[0].route[{index}].headers.request.set");
            said.iter().any(|line| line.contains("PC0217") && line.contains(&field))
        };
        assert!(is_said(0) && is_said(1), "{said:?}");
    }
}

#[test]
fn header_operations_stand_in_the_order_that_istio_gives_them() {
    let of = |value: &str| {
        format!("{{request: {{set: {{x-a: {value}}}}}, response: {{set: {{x-a: {value}}}}}}}")
    };
    let one = format!("{{destination: {{host: reviews.example.com}}, headers: {}}}", of("own"));
    let conversion = convert_rule(&format!("route: [{one}], headers: {}", of("rule")));
    assert_eq!(only_rule(&conversion).header_order, HeaderOrder::OneList);
    let weighted = one.replace("headers", "weight: 50, headers");
    let conversion =
        convert_rule(&format!("route: [{weighted}, {weighted}], headers: {}", of("rule")));
    let rule = only_rule(&conversion);
    assert_eq!(rule.header_order, HeaderOrder::DestinationFirst);
    let Action::Forward { destinations, .. } = &rule.action else { panic!() };
    // Each stands where it is written.
    assert_eq!(rule.request_headers.set[0].1, "rule");
    assert_eq!(destinations[1].request_headers.set[0].1, "own");
    assert_eq!(destinations[1].response_headers.set[0].1, "own");
    assert_eq!(rule.response_headers.set[0].1, "rule");
}

#[test]
fn faults_reach_the_model() {
    let fault = |text: &str| {
        let conversion = convert_rule(&format!(
            "route: [{{destination: {{host: reviews.example.com}}}}], fault: {text}"
        ));
        let filters = only_rule(&conversion).filters.as_ref().unwrap();
        (filters.fault.clone().unwrap(), problems(&conversion))
    };
    let (found, said) = fault(
        "{delay: {fixedDelay: 1.5s, percentage: {value: 0.1}}, abort: {httpStatus: 555, percentage: {value: 100}}}",
    );
    assert_eq!(said, [""; 0]);
    let (delay, abort) = (found.delay.unwrap(), found.abort.unwrap());
    assert_eq!((delay.duration, delay.parts_per_million), (Duration::from_millis(1500), 1000));
    assert_eq!(abort.status, AbortStatus::Http(StatusCode::from_u16(555).unwrap()));
    assert_eq!(abort.parts_per_million, 1_000_000);
    let (found, said) = fault("{abort: {grpcStatus: UNAVAILABLE, percent: 7}}");
    let abort = found.abort.unwrap();
    assert_eq!((abort.status, abort.parts_per_million), (AbortStatus::Grpc(14), 70_000));
    assert!(said.len() == 1 && said[0].contains("PC0216"), "{said:#?}");
    // Without a percentage it is none.
    let (found, said) = fault("{delay: {fixedDelay: 1s}}");
    assert_eq!(found.delay.unwrap().parts_per_million, 0);
    assert!(said.len() == 1 && said[0].contains("PC0217"), "{said:#?}");
}

#[test]
fn a_cors_policy_reaches_the_model() {
    let cors = |text: &str| {
        let conversion = convert_rule(&format!("{ANSWER}, corsPolicy: {text}"));
        let filters = only_rule(&conversion).filters.as_ref().unwrap();
        (filters.cors.clone().unwrap(), problems(&conversion))
    };
    let (found, said) = cors(
        "{allowOrigins: [{exact: 'https://a.test'}, {prefix: 'https://b.'}, {regex: 'https://c[0-9]'}, {exact: '*'}], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: ['*'], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}",
    );
    assert_eq!(said, [""; 0]);
    assert_eq!(found.allow_origins[0], OriginMatch::Exact("https://a.test".into()));
    assert_eq!(found.allow_origins[1], OriginMatch::Prefix("https://b.".into()));
    assert!(matches!(&found.allow_origins[2], OriginMatch::Pattern(p) if p.matches("https://c1")));
    assert_eq!(found.allow_origins[3], OriginMatch::Any);
    assert_eq!(found.allow_methods.as_deref(), Some("GET,PUT"));
    assert_eq!(found.allow_headers.as_deref(), Some("x-a,x-b"));
    assert_eq!(found.expose_headers.as_deref(), Some("*"));
    assert_eq!(found.max_age, Some(Duration::from_secs(86_400)));
    assert_eq!(found.allow_credentials, Some(true));
    assert_eq!(found.unmatched_preflights, UnmatchedPreflights::Answer);
    let (found, said) = cors("{allowOrigin: ['https://a.test'], unmatchedPreflights: FORWARD}");
    assert_eq!(found.allow_origins, [OriginMatch::Exact("https://a.test".into())]);
    assert!(said.len() == 1 && said[0].contains("PC0216"), "{said:#?}");
    let (_, said) = cors("{allowMethods: [GET]}");
    assert!(said.len() == 1 && said[0].contains("PC0217"), "{said:#?}");
}

#[test]
fn every_wrong_action_is_said_at_its_place() {
    let to = "route: [{destination: {host: reviews.example.com}}]";
    assert_said(
        str::to_owned,
        &[
            ("redirect: {derivePort: FROM_HERE}", "PC0210", "redirect.derivePort: `FROM_HERE`"),
            (
                "redirect: {derivePort: FROM_REQUEST_PORT, port: 1}",
                "PC0212",
                "`port`, `derivePort`",
            ),
            ("redirect: {uri: /a}, rewrite: {uri: /b}", "PC0212", "`rewrite`, `redirect`"),
            ("redirect: {uri: /a}, fault: {}", "PC0212", "`fault`, `redirect`"),
            ("directResponse: {status: 200}, rewrite: {}", "PC0212", "`rewrite`, `directResponse`"),
            ("route: [], rewrite: {}", "PC0210", "route: a route without a destination"),
        ],
    );
    assert_said(
        |rewrite| format!("{to}, rewrite: {rewrite}"),
        &[
            (
                "{uri: /a, uriRegexRewrite: {match: a, rewrite: b}}",
                "PC0212",
                "`uri`, `uriRegexRewrite`",
            ),
            ("{uriRegexRewrite: {match: a}}", "PC0209", "uriRegexRewrite.rewrite"),
            ("{uriRegexRewrite: {rewrite: a}}", "PC0209", "uriRegexRewrite.match"),
            ("{uriRegexRewrite: {match: '(', rewrite: a}}", "PC0218", "uriRegexRewrite.match"),
            (
                "{uriRegexRewrite: {match: '(a)', rewrite: '\\2'}}",
                "PC0218",
                "uriRegexRewrite.rewrite: the expression has no group 2",
            ),
            (
                "{uriRegexRewrite: {match: a, rewrite: '\\x'}}",
                "PC0218",
                "uriRegexRewrite.rewrite: a backslash",
            ),
            (
                "{authority: a}, headers: {request: {set: {Host: b}}}",
                "PC0217",
                "the authority is rewritten twice",
            ),
            ("{uri: '/a?b'}", "PC0210", "rewrite.uri: `/a?b` is no path"),
        ],
    );
    assert_said(
        |weights| {
            format!("route: [{weights}]").replace('@', "destination: {host: reviews.example.com}")
        },
        &[
            ("{@, weight: 1}, {@, weight: 2}", "PC0221", "route: the weights sum to 3, not to 100"),
            ("{@, weight: 0}, {@, weight: 0}", "PC0210", "route: no destination has a weight"),
            ("{@, weight: -1}", "PC0210", "weight: -1 is not from 0"),
        ],
    );
}

#[test]
fn every_wrong_fault_is_said_at_its_place() {
    let to = "route: [{destination: {host: reviews.example.com}}]";
    assert_said(
        |fault| format!("{to}, fault: {fault}"),
        &[
            ("{}", "PC0209", "fault.delay"),
            ("{delay: {percentage: {value: 1}}}", "PC0209", "delay.fixedDelay"),
            ("{delay: {fixedDelay: 5}}", "PC0208", "delay.fixedDelay: this has to be a string"),
            ("{delay: {fixedDelay: 0s}}", "PC0210", "delay.fixedDelay: the shortest time is 1ms"),
            ("{delay: {fixedDelay: 2h}}", "PC0210", "delay.fixedDelay: the longest delay is 1h"),
            (
                "{delay: {fixedDelay: 1s, percent: 101}}",
                "PC0210",
                "delay.percent: 101 is not from 0",
            ),
            (
                "{delay: {fixedDelay: 1s, percent: 1, percentage: {value: 1}}}",
                "PC0212",
                "`percentage`, `percent`",
            ),
            ("{delay: {fixedDelay: 1s, percentage: {value: 101}}}", "PC0210", "percentage.value"),
            ("{delay: {exponentialDelay: 1s}}", "PC0207", "exponentialDelay"),
            ("{abort: {percentage: {value: 1}}}", "PC0209", "abort.httpStatus"),
            (
                "{abort: {httpStatus: 100, percentage: {value: 1}}}",
                "PC0210",
                "abort.httpStatus: 100 is not from 200",
            ),
            ("{abort: {grpcStatus: UNAVAILBLE}}", "PC0210", "did you mean `UNAVAILABLE`"),
            ("{abort: {grpcStatus: 14}}", "PC0208", "abort.grpcStatus: this has to be a string"),
            ("{abort: {httpStatus: 500, grpcStatus: OK}}", "PC0212", "`httpStatus`, `grpcStatus`"),
            ("{abort: {http2Error: X}}", "PC0207", "http2Error"),
        ],
    );
    assert_said(
        |cors| format!("{to}, corsPolicy: {cors}"),
        &[
            ("{allowOrigins: []}", "PC0217", "corsPolicy: no origin is allowed"),
            ("{allowOrigins: [a]}", "PC0208", "allowOrigins[0]: this has to be a mapping"),
            ("{allowOrigins: [{regex: '('}]}", "PC0218", "allowOrigins[0].regex"),
            (
                "{allowOrigins: [{exact: a}], allowOrigin: [a]}",
                "PC0212",
                "`allowOrigins`, `allowOrigin`",
            ),
            ("{allowMethods: ['a b']}", "PC0210", "allowMethods[0]: `a b` is no method"),
            ("{allowHeaders: ['a b']}", "PC0210", "allowHeaders[0]: `a b` is no name"),
            ("{exposeHeaders: [1]}", "PC0208", "exposeHeaders[0]"),
            ("{maxAge: 1}", "PC0208", "maxAge"),
            ("{maxAge: 1.5s}", "PC0210", "maxAge: an age is whole seconds"),
            ("{allowCredentials: 'no'}", "PC0208", "allowCredentials: this has to be a boolean"),
            ("{unmatchedPreflights: DROP}", "PC0210", "unmatchedPreflights: `DROP`"),
        ],
    );
}

#[test]
fn export_to_says_whose_gateways_see_it() {
    let all = format!("[{{{ANSWER}}}]");
    let text = |export: &str| {
        route("a", "*", &all).replace("  http:", &format!("  exportTo: {export}\n  http:"))
    };
    for (export, seen) in
        [("['*']", true), ("[edge]", true), ("['.']", false), ("[other, '~']", false)]
    {
        let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &text(export))]);
        assert_eq!(!conversion.model.listeners[0].virtual_hosts.is_empty(), seen, "{export}");
        assert_eq!(problems(&conversion).is_empty(), seen, "{export}");
    }
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &text("['.']"))]);
    assert_eq!(
        only_problem(&conversion),
        "a.yaml:7:13: warning[PC0217] VirtualService/shop/a spec.exportTo: the namespace of the Gateway `edge/gw` does not see this, so it is not served there; add the namespace, write `*`, or remove the Gateway from `spec.gateways`"
    );
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &text("['A b']"))]);
    assert!(only_problem(&conversion).contains("error[PC0210]"));
}
