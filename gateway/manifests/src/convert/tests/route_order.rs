//! The order of several VirtualServices' rules on one host, and who is told of what it loses.

use super::{Conversion, GATEWAY, convert, only_problem, problems, route};

fn answering(rules: &[&str]) -> String {
    let rule = |matches: &&str| format!("{{match: [{matches}], directResponse: {{status: 200}}}}");
    format!("[{}]", rules.iter().map(rule).collect::<Vec<_>>().join(", "))
}

/// VirtualServices `one`, `two`, … on one host, in the order of their creation, on this Gateway.
fn convert_on(gateway: &str, services: &[&[&str]]) -> Conversion {
    let names = ["one", "two", "three", "four"];
    let texts: Vec<String> = names
        .iter()
        .zip(services)
        .map(|(name, rules)| route(name, "a.example.com", &answering(rules)))
        .collect();
    convert(&[("gw.yaml", gateway), ("v.yaml", &texts.join("---\n"))])
}

fn order(conversion: &Conversion) -> Vec<String> {
    let rules = conversion.model.listeners[0].virtual_hosts[0].rules.iter();
    rules
        .map(|rule| {
            format!("{}{}", rule.id.trim_start_matches("VirtualService/shop/"), super::paths(rule))
        })
        .collect()
}

fn by_specificity() -> String {
    GATEWAY.replace(
        "namespace: edge}",
        "namespace: edge, annotations: {portcullis.dev/route-order: specificity}}",
    )
}

#[test]
fn the_most_particular_comes_first_where_the_gateway_asks_for_it() {
    let services: [&[&str]; 3] = [
        &["{uri: {regex: '/a.*'}}, {uri: {exact: /a/b}}", "{uri: {prefix: /}}"],
        &["{uri: {prefix: /a}}", "{uri: {prefix: /a}, headers: {x: {}}}"],
        &["{headers: {x: {}}}", "{uri: {prefix: /a/b}}"],
    ];
    let conversion = convert_on(&by_specificity(), &services);
    assert_eq!(
        order(&conversion),
        [
            "one/http[0] =/a/b",
            "three/http[1] /a/b*",
            "two/http[1] /a*",
            "two/http[0] /a*",
            "one/http[0] ~/a.*",
            "three/http[0] *",
            "one/http[1] /*",
        ]
    );
}

#[test]
fn the_order_is_written_in_one_of_two_words() {
    let creation = by_specificity().replace("specificity", "creation");
    let services: [&[&str]; 2] = [&["{uri: {prefix: /a}}"], &["{uri: {exact: /b}}"]];
    assert_eq!(order(&convert_on(&creation, &services)), ["one/http[0] /a*", "two/http[0] =/b"]);
    assert_eq!(
        order(&convert_on(&by_specificity(), &services)),
        ["two/http[0] =/b", "one/http[0] /a*"]
    );
    let wrong = by_specificity().replace("specificity}", "specific}");
    let conversion = convert(&[("gw.yaml", &wrong)]);
    assert!(only_problem(&conversion).contains("error[PC0210] Gateway/edge/gw metadata.annotations[portcullis.dev/route-order]: `specific` is not known here"));
}

#[test]
fn a_match_that_an_earlier_one_takes_whole_is_said_whatever_it_asks_for() {
    for (earlier, later) in [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}, method: {exact: GET}}"),
        ("{uri: {regex: '/v[0-9]/x'}}", "{uri: {exact: /v1/x}}"),
        ("{uri: {regex: '/v[0-9]'}}", "{uri: {regex: '/v[0-9]'}, port: 80}"),
        ("{method: {regex: 'GET|PUT'}}", "{method: {exact: PUT}}"),
        ("{scheme: {exact: http}}", "{scheme: {exact: http}, uri: {exact: /x}}"),
        ("{authority: {prefix: a.}}", "{authority: {exact: a.example.com}}"),
        ("{headers: {x: {}}}", "{headers: {x: {exact: '1'}, y: {}}}"),
        ("{headers: {x: {prefix: a}}}", "{headers: {x: {exact: ab}}}"),
        ("{withoutHeaders: {x: {}}}", "{withoutHeaders: {x: {}}, uri: {exact: /x}}"),
        ("{queryParams: {q: {}}}", "{queryParams: {q: {exact: '1'}}}"),
        (
            "{headers: {'@request.auth.claims.a': {}}}",
            "{headers: {'@request.auth.claims.a': {}, x: {}}}",
        ),
        ("{port: 80}", "{port: 80, uri: {prefix: /x}}"),
        ("{gateways: [edge/gw]}", "{gateways: [edge/gw], uri: {exact: /y}}"),
        ("{uri: {prefix: /A}, ignoreUriCase: true}", "{uri: {prefix: /A}, ignoreUriCase: true}"),
    ] {
        let problem = only_problem(&convert_on(GATEWAY, &[&[earlier], &[later]]));
        assert!(
            problem.contains("warning[PC0309] VirtualService/shop/two spec.http[0].match[0]: this never matches: the requests go to VirtualService/shop/one spec.http[0] at v.yaml:7:10"),
            "{earlier} {later}: {problem}"
        );
    }
}

#[test]
fn rules_that_share_some_requests_are_said_where_neither_is_the_narrower() {
    for (earlier, later) in [
        ("{headers: {x: {exact: '1'}}}", "{uri: {prefix: /a}}"),
        ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {prefix: /a/b}}"),
        ("{queryParams: {q: {}}}", "{headers: {x: {}}}"),
        ("{port: 80}", "{method: {exact: GET}}"),
    ] {
        let problem = only_problem(&convert_on(GATEWAY, &[&[earlier], &[later]]));
        assert!(
            problem.contains("warning[PC0326] VirtualService/shop/two spec.http[0].match[0]: some of its requests go to VirtualService/shop/one spec.http[0] at v.yaml:7:10"),
            "{earlier} {later}: {problem}"
        );
    }
    // What is narrower comes rightly first, and what cannot meet is no matter.
    for (earlier, later) in [
        ("{uri: {exact: /a/b}}", "{uri: {prefix: /a}}"),
        ("{uri: {prefix: /a}, headers: {x: {}}}", "{uri: {prefix: /a}}"),
        ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}"),
        ("{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}, uri: {prefix: /a}}"),
        ("{method: {exact: GET}}", "{method: {exact: PUT}, uri: {prefix: /a}}"),
        ("{withoutHeaders: {x: {}}}", "{headers: {x: {}}, uri: {prefix: /a}}"),
        ("{port: 80}", "{port: 81, uri: {prefix: /a}}"),
    ] {
        let conversion = convert_on(GATEWAY, &[&[earlier], &[later]]);
        assert_eq!(problems(&conversion), [""; 0], "{earlier} {later}");
    }
    // Within one object the order is its author's.
    let conversion = convert_on(GATEWAY, &[&["{headers: {x: {}}}", "{uri: {prefix: /a}}"]]);
    assert_eq!(problems(&conversion), [""; 0]);
}

#[test]
fn the_order_by_specificity_takes_the_loss_away() {
    let services: [&[&str]; 2] = [&["{uri: {prefix: /a}}"], &["{uri: {exact: /a/b}}"]];
    assert!(only_problem(&convert_on(GATEWAY, &services)).contains("PC0309"));
    assert_eq!(problems(&convert_on(&by_specificity(), &services)), [""; 0]);
    let twice: [&[&str]; 2] = [&["{uri: {exact: /a}}"], &["{uri: {exact: /a}}"]];
    let problem = only_problem(&convert_on(&by_specificity(), &twice));
    assert!(problem.contains("PC0309") && problem.contains("among equals the older"), "{problem}");
}

#[test]
fn ten_thousand_rules_of_one_path_are_compared_in_no_time() {
    let rules: Vec<String> = (0..10_000)
        .map(|number| format!("{{uri: {{prefix: /a}}, headers: {{x: {{exact: '{number}'}}}}}}"))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let again = [rules[9_999]];
    let problem = only_problem(&convert_on(GATEWAY, &[&rules, &again]));
    assert!(problem.contains("PC0309") && problem.contains("spec.http[9999]"), "{problem}");
}
