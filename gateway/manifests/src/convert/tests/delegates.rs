//! VirtualServices that others delegate to.

use std::time::Duration;

use portcullis_model::{PathMatch, Rule};

use super::{Conversion, GATEWAY, REVIEWS, convert, only_problem, problems, route};

/// A VirtualService without hosts.
fn delegate(name: &str, namespace: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  http: {http}\n"
    )
}

fn convert_all(root: &str, delegates: &[String]) -> Conversion {
    let root = route("root", "a.example.com", root);
    let delegates = delegates.join("---\n");
    convert(&[
        ("gw.yaml", GATEWAY),
        ("d.yaml", &delegates),
        ("r.yaml", REVIEWS),
        ("root.yaml", &root),
    ])
}

fn rules(conversion: &Conversion) -> Vec<&Rule> {
    let hosts = &conversion.model.listeners[0].virtual_hosts;
    hosts.iter().flat_map(|host| &host.rules).map(|rule| &**rule).collect()
}

fn shown(conversion: &Conversion) -> Vec<String> {
    rules(conversion).iter().map(|rule| format!("{}{}", rule.id, super::paths(rule))).collect()
}

const TO: &str = "route: [{destination: {host: reviews.example.com}}]";

#[test]
fn a_delegates_rules_stand_in_the_place_of_the_rule_that_delegates() {
    let inner = format!(
        "[{{name: one, match: [{{uri: {{prefix: /api/one}}}}], {TO}}}, {{match: [{{headers: {{x-a: {{exact: b}}}}}}], {TO}}}, {{{TO}}}]"
    );
    let root = format!(
        "[{{match: [{{uri: {{exact: /first}}}}], {TO}}}, {{match: [{{uri: {{prefix: /api}}, headers: {{x-team: {{}}}}}}], delegate: {{name: inner, namespace: team}}}}, {{{TO}}}]"
    );
    let conversion = convert_all(&root, &[delegate("inner", "team", &inner)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        shown(&conversion),
        [
            "VirtualService/shop/root/http[0] =/first",
            "VirtualService/team/inner/http[one] /api/one*",
            "VirtualService/team/inner/http[1] /api*",
            "VirtualService/team/inner/http[2] /api*",
            "VirtualService/shop/root/http[2]",
        ]
    );
    let found = rules(&conversion);
    let names = |rule: &Rule| {
        let headers = rule.matches[0].headers.iter().map(|header| header.name.to_string());
        headers.collect::<Vec<_>>()
    };
    assert_eq!(names(found[1]), ["x-team"]);
    assert_eq!(names(found[2]), ["x-team", "x-a"]);
    assert_eq!(&*found[1].origin.file, "d.yaml");
}

#[test]
fn a_delegates_rule_has_what_it_does_not_say_from_the_rule_that_delegates() {
    let root = "[{delegate: {name: inner}, timeout: 1s, rewrite: {uri: /outer}, retries: {attempts: 7}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}, headers: {response: {set: {x: outer}}}, mirror: {host: reviews.example.com}}]";
    let inner = format!(
        "[{{match: [{{uri: {{prefix: /a}}}}], {TO}, timeout: 2s, retries: {{attempts: 1}}, rewrite: {{uri: /inner}}, headers: {{}}, mirrors: []}}, {{{TO}}}]"
    );
    let conversion = convert_all(root, &[delegate("inner", "shop", &inner)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let found = rules(&conversion);
    let seconds = |rule: &Rule| rule.timeout.map(|timeout| timeout.as_secs());
    assert_eq!((seconds(found[0]), seconds(found[1])), (Some(2), Some(1)));
    assert_eq!((found[0].retries.attempts, found[1].retries.attempts), (1, 7));
    assert_eq!((found[0].mirrors.len(), found[1].mirrors.len()), (0, 1));
    assert!(found[0].response_headers.set.is_empty() && found[1].response_headers.set.len() == 1);
    assert!(found.iter().all(|rule| rule.filters.as_ref().unwrap().fault.is_some()));
    let paths: Vec<_> = found.iter().map(|rule| format!("{:?}", rule.action)).collect();
    assert!(paths[0].contains("/inner") && paths[1].contains("/outer"), "{paths:#?}");
    assert_eq!(found[1].timeout, Some(Duration::from_secs(1)));
}

#[test]
fn what_leads_out_of_the_rule_that_delegates_is_left_out_and_said() {
    for (outer, inner) in [
        ("uri: {prefix: /api}", "uri: {prefix: /ap}"),
        ("uri: {prefix: /api}", "uri: {exact: /other}"),
        ("uri: {exact: /api}", "uri: {prefix: /api}"),
        ("uri: {regex: '/a.*'}", "uri: {prefix: /ab}"),
        ("uri: {prefix: /a}", "uri: {regex: '/a.*'}"),
        ("uri: {prefix: /a}", "uri: {prefix: /a}, ignoreUriCase: true"),
        ("method: {exact: GET}", "method: {exact: PUT}"),
        ("scheme: {exact: https}", "scheme: {exact: http}"),
        ("authority: {prefix: a.}", "authority: {prefix: b.}"),
        ("headers: {x: {exact: a}}", "headers: {x: {prefix: a}}"),
        ("queryParams: {x: {exact: a}}", "queryParams: {x: {exact: b}}"),
        ("port: 80", "port: 81"),
        ("sourceNamespace: edge", "sourceNamespace: other"),
    ] {
        let root = format!("[{{match: [{{{outer}}}], delegate: {{name: inner}}}}]");
        let leaf = format!("[{{match: [{{{inner}}}], {TO}}}]");
        let conversion = convert_all(&root, &[delegate("inner", "shop", &leaf)]);
        let problem = only_problem(&conversion);
        assert!(problem.contains("error[PC0324] VirtualService/shop/inner spec.http[0].match[0]: this is not within any match of VirtualService/shop/root spec.http[0] at root.yaml:7:10"), "{problem}");
        assert!(rules(&conversion).is_empty());
    }
}

#[test]
fn of_several_matches_each_that_fits_is_joined() {
    let root = "[{match: [{uri: {prefix: /a}}, {uri: {prefix: /b}, headers: {x: {}}}], delegate: {name: inner}}]";
    let leaf = format!("[{{match: [{{uri: {{exact: /a/1}}}}, {{method: {{exact: GET}}}}], {TO}}}]");
    let conversion = convert_all(root, &[delegate("inner", "shop", &leaf)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let matches = &rules(&conversion)[0].matches;
    let paths: Vec<_> = matches.iter().map(|each| each.path.clone().unwrap()).collect();
    let prefix = |text: &str| PathMatch::Prefix(text.into());
    assert_eq!(paths, [PathMatch::Exact("/a/1".into()), prefix("/a"), prefix("/b")]);
    assert_eq!((matches[0].headers.len(), matches[2].headers.len()), (0, 1));
}

#[test]
fn a_delegate_that_cannot_be_had_takes_its_rule_alone() {
    let root =
        format!("[{{match: [{{uri: {{prefix: /a}}}}], delegate: {{name: inner}}}}, {{{TO}}}]");
    let with_hosts = route("inner", "b.example.com", &format!("[{{{TO}}}]"));
    let hidden = delegate("inner", "shop", &format!("[{{{TO}}}]"))
        .replace("spec:\n", "spec:\n  exportTo: [other]\n");
    for (others, said) in [
        (vec![], "there is no `VirtualService/shop/inner`"),
        (vec![with_hosts], "is no delegate: it has hosts"),
        (vec![hidden], "is not exported to the namespace `shop`"),
    ] {
        let conversion = convert_all(&root, &others);
        let problem = only_problem(&conversion);
        assert!(problem.contains("error[PC0323]") && problem.contains(said), "{problem}");
        assert!(shown(&conversion).contains(&"VirtualService/shop/root/http[1]".to_owned()));
    }
}

#[test]
fn every_wrong_delegate_is_said_at_its_place() {
    let fine = format!("[{{{TO}}}]");
    for (root, leaf, said) in [
        (
            "[{delegate: {}}]",
            fine.as_str(),
            "error[PC0209] VirtualService/shop/root spec.http[0].delegate.name",
        ),
        ("[{delegate: inner}]", &fine, "error[PC0208]"),
        ("[{delegate: {name: inner, kind: x}}]", &fine, "error[PC0206]"),
        (
            &format!("[{{delegate: {{name: inner}}, {TO}}}]"),
            &fine,
            "error[PC0212] VirtualService/shop/root spec.http[0]: only one of `route`, `delegate`",
        ),
        (
            "[{delegate: {name: inner}}]",
            "[{delegate: {name: further}}]",
            "error[PC0210] VirtualService/shop/inner spec.http[0].delegate: a delegate cannot delegate further",
        ),
    ] {
        let conversion = convert_all(root, &[delegate("inner", "shop", leaf)]);
        let found = problems(&conversion);
        assert!(found.iter().any(|problem| problem.contains(said)), "{said} in {found:#?}");
    }
    for (field, said) in [
        (
            "gateways: [edge/gw]",
            "spec.gateways: a VirtualService without `hosts` is one that others",
        ),
        ("tcp: []", "spec.tcp: a VirtualService without `hosts` has rules for requests alone"),
        ("tls: []", "spec.tls: a VirtualService without `hosts` has rules for requests alone"),
    ] {
        let text =
            delegate("inner", "shop", &fine).replace("spec:\n", &format!("spec:\n  {field}\n"));
        let found = problems(&convert_all("[{delegate: {name: inner}}]", &[text]));
        let is_it = |problem: &String| problem.contains("error[PC0210]") && problem.contains(said);
        assert!(found.iter().any(is_it), "{said} in {found:#?}");
    }
}

#[test]
fn a_virtual_service_without_hosts_that_nobody_delegates_to_is_said() {
    let conversion =
        convert_all(&format!("[{{{TO}}}]"), &[delegate("inner", "shop", &format!("[{{{TO}}}]"))]);
    assert!(
        only_problem(&conversion).contains("warning[PC0325] VirtualService/shop/inner spec.hosts")
    );
}

#[test]
fn plugins_and_policies_of_both_apply() {
    let plugin = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: NAME, namespace: shop}\nspec:\n  url: file:///p.wasm\n  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: TARGET, sectionName: SECTION}]\n";
    let of = |name: &str, target: &str, section: &str| {
        plugin.replace("NAME", name).replace("TARGET", target).replace("SECTION", section)
    };
    let policy = "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {name: NAME, namespace: shop}\nspec:\n  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: TARGET}]\n  limits: {LIMITS}\n";
    let limits = |name: &str, target: &str, limits: &str| {
        policy.replace("NAME", name).replace("TARGET", target).replace("LIMITS", limits)
    };
    let all = [
        of("outer", "root", "door"),
        of("inner", "inner", "leaf"),
        of("other", "inner", "none-of-it"),
        limits("wide", "root", "requestBody: 10Mi, minRate: 7"),
        limits("narrow", "inner", "requestBody: 1Mi"),
        delegate("inner", "shop", &format!("[{{name: leaf, {TO}}}]")),
    ];
    let conversion = convert_all("[{name: door, delegate: {name: inner}}]", &all);
    let rule = rules(&conversion)[0];
    let plugins: Vec<_> = rule.plugins.iter().map(|id| &*id.name).collect();
    assert_eq!(plugins, ["outer", "inner", "other"]);
    assert_eq!(rule.overrides.max_body, Some(Some(1 << 20)));
    assert_eq!(rule.overrides.min_rate, Some(7));
}
