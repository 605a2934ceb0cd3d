//! Authorization policies as they are written, and every way to write them wrongly.

use portcullis_filters::{
    AccessAction, AccessPolicy, AccessSense, AccessSubject, Enforcement, PathTest, TextTest,
};

use super::{Conversion, GATEWAY, convert, convert_after, problems};

fn policy(spec: &str) -> String {
    named("p", spec)
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: edge}}\nspec: {spec}\n"
    )
}

fn served(spec: &str) -> (Vec<AccessPolicy>, Vec<String>) {
    let text = policy(spec);
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    (policies(&conversion), problems(&conversion))
}

fn policies(conversion: &Conversion) -> Vec<AccessPolicy> {
    let authorization = conversion.model.listeners[0].authorization.as_ref();
    authorization.map(|each| each.policies().cloned().collect()).unwrap_or_default()
}

#[test]
fn every_field_of_a_rule_becomes_a_test() {
    let spec = r#"{action: DENY, rules: [{
        from: [
          {source: {principals: ["td/ns/a/sa/b"], notPrincipals: ["*"], requestPrincipals: [iss/sub], notRequestPrincipals: ["iss/*"]}},
          {source: {namespaces: [a], notNamespaces: [b*], ipBlocks: [10.0.0.0/8, 192.0.2.1], notIpBlocks: ["2001:db8::/32"], remoteIpBlocks: [10.0.0.0/8], notRemoteIpBlocks: [10.1.0.0/16]}},
          {source: {serviceAccounts: [b, other/c], notServiceAccounts: [d]}}],
        to: [{operation: {hosts: [a.example], notHosts: ["*.b.example"], ports: ["80", "443"], notPorts: ["81"], methods: [GET], notMethods: [PUT], paths: [/a, /b/*, "*c", "*", "/d/{*}/{**}"], notPaths: [/e]}}],
        when: [
          {key: "request.headers[X-Team]", values: [a], notValues: [b]},
          {key: source.ip, values: [10.0.0.1]},
          {key: remote.ip, notValues: [10.0.0.1]},
          {key: source.namespace, values: [a]},
          {key: source.principal, values: [a]},
          {key: source.serviceAccount, values: [a]},
          {key: request.auth.principal, values: [a]},
          {key: request.auth.audiences, values: [a]},
          {key: request.auth.presenter, values: [a]},
          {key: "request.auth.claims[realm][roles]", values: [a]},
          {key: destination.ip, values: [10.0.0.1]},
          {key: destination.port, values: ["80"]},
          {key: connection.sni, values: ["*.example"]}]}]}"#;
    let (policies, problems) = served(spec);
    assert_eq!(problems, [""; 0]);
    let rule = &policies[0].rules[0];
    assert_eq!((policies[0].action, policies[0].rules.len()), (AccessAction::Deny, 1));
    assert_eq!(rule.from.iter().map(Vec::len).collect::<Vec<_>>(), [4, 6, 2]);
    let names = |tests: &[portcullis_filters::AccessTest]| -> Vec<String> {
        let sign = |sense| if sense == AccessSense::OneOf { "" } else { "!" };
        tests.iter().map(|test| format!("{}{}", sign(test.sense), test.subject.name())).collect()
    };
    assert_eq!(
        names(&rule.from[1]),
        [
            "source.namespace",
            "!source.namespace",
            "source.ip",
            "!source.ip",
            "remote.ip",
            "!remote.ip"
        ]
    );
    assert_eq!(
        names(&rule.to[0]),
        [
            "hosts",
            "!hosts",
            "destination.port",
            "!destination.port",
            "methods",
            "!methods",
            "paths",
            "!paths"
        ]
    );
    assert_eq!(
        names(&rule.when),
        [
            "request.headers",
            "!request.headers",
            "source.ip",
            "!remote.ip",
            "source.namespace",
            "source.principal",
            "source.serviceAccount",
            "request.auth.principal",
            "request.auth.claims",
            "request.auth.claims",
            "request.auth.claims",
            "destination.ip",
            "destination.port",
            "connection.sni"
        ]
    );
    let exact = |text: &str| TextTest::Exact(text.into());
    assert_eq!(
        rule.from[2][0].subject,
        AccessSubject::ServiceAccount(vec![
            ("edge".into(), "b".into()),
            ("other".into(), "c".into())
        ])
    );
    let claim = |path: &[&str]| {
        let path = path.iter().map(|name| (*name).into()).collect();
        AccessSubject::Claim(path, vec![exact("a")])
    };
    assert_eq!(rule.when[8].subject, claim(&["aud"]));
    assert_eq!(rule.when[9].subject, claim(&["azp"]));
    assert_eq!(rule.when[10].subject, claim(&["realm", "roles"]));
    let AccessSubject::Path(paths) = &rule.to[0][6].subject else { panic!("no paths") };
    assert_eq!(paths[1], PathTest::Text(TextTest::Prefix("/b/".into())));
    assert!(matches!(paths[4], PathTest::Template(_)));
}

#[test]
fn policies_of_all_actions_stand_in_creation_order() {
    let dry = named("dry", "{action: DENY, rules: [{}]}")
        .replace("namespace: edge}", "namespace: edge, annotations: {istio.io/dry-run: \"true\"}}");
    let texts = [
        named("a", "{}"),
        named("d2", "{action: DENY, rules: [{}]}"),
        named("w", "{action: AUDIT, rules: [{}]}"),
        named("d1", "{action: DENY, rules: [{}]}"),
        named("c", "{action: CUSTOM, provider: {name: x}, rules: [{}]}"),
        dry,
    ];
    let text = texts.join("---\n");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
    let found = policies(&conversion);
    let names: Vec<&str> = found.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["c", "d2", "d1", "a", "w", "dry"]);
    assert_eq!(found[5].enforcement, Enforcement::DryRun);
    // One is told of for each: there is nobody to ask for CUSTOM.
    assert_eq!(problems(&conversion).len(), 1);
    assert!(problems(&conversion)[0].contains("error[PC0235]"), "{:?}", problems(&conversion));
}

#[test]
fn listeners_that_are_covered_alike_share_their_policies() {
    let gateway = GATEWAY.to_owned()
        + "  - port: {number: 81, name: other, protocol: HTTP}\n    hosts: ['*']\n  - port: {number: 82, name: tcp, protocol: TCP}\n    hosts: ['*']\n";
    let text = policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}");
    let conversion = convert(&[("gw.yaml", &gateway), ("p.yaml", &text)]);
    let [one, other, tcp] = conversion.model.listeners.as_slice() else { panic!("not three") };
    let of = |listener: &portcullis_model::Listener| listener.authorization.clone().unwrap();
    assert!(std::sync::Arc::ptr_eq(&of(one), &of(other)));
    // Where bytes are passed on an ALLOW of requests matches nothing.
    assert!(of(tcp).policies().all(|policy| policy.rules[0].never));
    let narrow =
        text.replace("{rules", "{targetRef: {kind: Gateway, name: gw, sectionName: other}, rules");
    let conversion = convert(&[("gw.yaml", &gateway), ("p.yaml", &narrow)]);
    let covered: Vec<bool> =
        conversion.model.listeners.iter().map(|each| each.authorization.is_some()).collect();
    assert_eq!(covered, [false, true, false]);
}

#[test]
fn a_broken_version_leaves_the_last_good_one_in_force() {
    let good = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &policy("{action: DENY, rules: [{}]}"))]);
    let broken = policy("{action: DENY, rules: [{to: [{operation: {paths: ['/{x}']}}]}]}");
    let after = convert_after(&[("gw.yaml", GATEWAY), ("p.yaml", &broken)], &good.memory);
    assert_eq!(policies(&after), policies(&good));
    assert_eq!(problems(&after).len(), 1);
    assert!(problems(&after)[0].contains("until then its last good version serves on"));
}

/// The first problem with the policy, as its code, field and message. One that is an error keeps it from being served,
/// unless it can still refuse what it should ask others about.
fn fault(spec: &str) -> String {
    let (policies, problems) = served(spec);
    let fault = problems.into_iter().find(|line| !line.contains("[PC0205]")).unwrap_or_default();
    assert_eq!(fault.contains("error["), policies.is_empty(), "{spec}: {fault}");
    let (_, fault) = fault.split_once(": ").unwrap_or_default();
    fault.replace(" AuthorizationPolicy/edge/p", "")
}

fn rule(rule: &str) -> String {
    format!("{{rules: [{rule}]}}")
}

fn source(source: &str) -> String {
    rule(&format!("{{from: [{{source: {source}}}]}}"))
}

fn operation(operation: &str) -> String {
    rule(&format!("{{to: [{{operation: {operation}}}]}}"))
}

fn when(when: &str) -> String {
    rule(&format!("{{when: [{when}]}}"))
}

/// Holds what is said of each `spec` against how it has to begin.
fn hold(cases: Vec<(String, &str)>) {
    for (spec, wanted) in cases {
        assert!(fault(&spec).starts_with(wanted), "{spec}:\n{}\n{wanted}", fault(&spec));
    }
}

#[test]
fn every_wrong_value_has_its_code() {
    hold(vec![
        ("{action: DENNY}".to_owned(), "error[PC0210] spec.action: `DENNY` is not known here"),
        ("{action: 7}".to_owned(), "error[PC0208] spec.action"),
        ("{action: CUSTOM, rules: [{}]}".to_owned(), "error[PC0209] spec.provider"),
        ("{provider: {name: x}}".to_owned(), "error[PC0212] spec.provider"),
        (
            "{action: CUSTOM, provider: {}, rules: [{}]}".to_owned(),
            "error[PC0209] spec.provider.name",
        ),
        (
            "{action: CUSTOM, provider: {name: ''}, rules: [{}]}".to_owned(),
            "error[PC0210] spec.provider.name: the name is empty",
        ),
        ("{rules: {}}".to_owned(), "error[PC0208] spec.rules"),
        ("{action: DENY}".to_owned(), "warning[PC0217] spec: without rules it matches nothing"),
        ("{action: AUDIT, rules: []}".to_owned(), "warning[PC0217] spec: without rules"),
        (rule("null"), "error[PC0210] spec.rules[0]: a rule cannot be `null`"),
        (rule("{form: []}"), "error[PC0206] spec.rules[0].form"),
        (rule("{from: []}"), "error[PC0210] spec.rules[0].from: `from` is empty"),
        (rule("{to: []}"), "error[PC0210] spec.rules[0].to: `to` is empty"),
        (rule("{from: [{}]}"), "error[PC0209] spec.rules[0].from[0].source"),
        (
            rule("{to: [{operation: {methods: [GET]}, source: {}}]}"),
            "error[PC0206] spec.rules[0].to[0].source",
        ),
    ]);
}

#[test]
fn every_wrong_source_or_operation_has_its_code() {
    hold(vec![
        (source("{}"), "error[PC0210] spec.rules[0].from[0].source: it says nothing"),
        (source("{principals: []}"), "error[PC0210] spec.rules[0].from[0].source: it says nothing"),
        (source("{principals: ['']}"), "error[PC0210] spec.rules[0].from[0].source.principals[0]"),
        (source("{principals: a}"), "error[PC0208] spec.rules[0].from[0].source.principals"),
        (
            source("{principals: [a], serviceAccounts: [b]}"),
            "error[PC0212] spec.rules[0].from[0].source.serviceAccounts",
        ),
        (
            source("{serviceAccounts: [a/b/c]}"),
            "error[PC0210] spec.rules[0].from[0].source.serviceAccounts[0]",
        ),
        (source("{serviceAccounts: ['a*']}"), "error[PC0210]"),
        (
            source(
                "{serviceAccounts: [a1, a2, a3, a4, a5, a6, a7, a8, a9, b1, b2, b3, b4, b5, b6, b7, b8]}",
            ),
            "error[PC0210] spec.rules[0].from[0].source.serviceAccounts: a list has at most 16",
        ),
        (
            source("{ipBlocks: [10.0.0.0/33]}"),
            "error[PC0210] spec.rules[0].from[0].source.ipBlocks[0]",
        ),
        (
            source("{remoteIpBlocks: [home]}"),
            "error[PC0210] spec.rules[0].from[0].source.remoteIpBlocks[0]",
        ),
        (source("{requestPrincipals: ['*a*']}"), "warning[PC0237]"),
        (operation("{}"), "error[PC0210] spec.rules[0].to[0].operation: it says nothing"),
        (operation("{ports: [80]}"), "error[PC0208] spec.rules[0].to[0].operation.ports[0]"),
        (
            operation("{ports: ['0']}"),
            "error[PC0210] spec.rules[0].to[0].operation.ports[0]: `0` is no port",
        ),
        (operation("{ports: ['+80']}"), "error[PC0210]"),
        (operation("{ports: ['65536']}"), "error[PC0210]"),
        (
            operation("{paths: ['/{a}']}"),
            "error[PC0210] spec.rules[0].to[0].operation.paths[0]: `/{a}` is no template",
        ),
        (operation("{paths: ['/{**}/{*}']}"), "error[PC0210]"),
        (
            operation("{paths: [admin]}"),
            "warning[PC0222] spec.rules[0].to[0].operation.paths[0]: a path begins with `/`",
        ),
        (operation("{paths: ['/a?b']}"), "warning[PC0222]"),
        (operation("{paths: ['/a//b*']}"), "warning[PC0222]"),
        (
            operation("{paths: ['*/caf%c3%a9']}"),
            "warning[PC0222] spec.rules[0].to[0].operation.paths[0]: no path in its canonical form ends with",
        ),
        (operation("{paths: ['/a/{*}/./b']}"), "warning[PC0222]"),
        (
            operation("{paths: ['/a/*/b']}"),
            "warning[PC0237] spec.rules[0].to[0].operation.paths[0]: only a `*` at one end of `/a/*/b` is a wildcard; the other means itself",
        ),
        (operation("{methods: ['G*T']}"), "warning[PC0237]"),
        (operation("{method: [GET]}"), "error[PC0206]"),
    ]);
}

#[test]
fn every_wrong_condition_has_its_code() {
    hold(vec![
        (when("{values: [a]}"), "error[PC0209] spec.rules[0].when[0].key"),
        (when("{key: source.ip}"), "error[PC0209] spec.rules[0].when[0].values"),
        (
            when("{key: source.ipp, values: [a]}"),
            "error[PC0210] spec.rules[0].when[0].key: `source.ipp` is not known here; did you mean `source.ip`?",
        ),
        (when("{key: source.ip, values: [x]}"), "error[PC0210] spec.rules[0].when[0].values[0]"),
        (
            when("{key: destination.port, values: [x]}"),
            "error[PC0210] spec.rules[0].when[0].values[0]",
        ),
        (when("{key: request.headers, values: [x]}"), "error[PC0210] spec.rules[0].when[0].key"),
        (
            when("{key: 'request.headers[a b]', values: [x]}"),
            "error[PC0210] spec.rules[0].when[0].key",
        ),
        (when("{key: 'request.headers[a][b]', values: [x]}"), "error[PC0210]"),
        (when("{key: 'request.auth.claims[]', values: [x]}"), "error[PC0210]"),
        (when("{key: 'request.auth.claims.a', values: [x]}"), "error[PC0210]"),
        (
            when("{key: 'experimental.envoy.filters.network.mysql_proxy[db]', values: [x]}"),
            "warning[PC0236] spec.rules[0].when[0].key: no filter here leaves such an attribute, so the rule matches nothing",
        ),
    ]);
}

#[test]
fn a_custom_policy_is_asked_before_tokens_are_verified() {
    for rule in [
        "{from: [{source: {requestPrincipals: ['*']}}]}",
        "{when: [{key: 'request.auth.claims[a]', values: [b]}]}",
    ] {
        let spec = format!("{{action: CUSTOM, provider: {{name: x}}, rules: [{rule}]}}");
        let (policies, problems) = served(&spec);
        assert!(problems.iter().any(|line| line.contains("warning[PC0236]")), "{problems:?}");
        // The condition counts as fulfilled.
        assert_eq!(policies[0].rules[0].tests().count(), 0);
    }
}

#[test]
fn a_dry_run_is_written_as_a_boolean() {
    let with = |value: &str| {
        let text = policy("{action: DENY, rules: [{}]}").replace(
            "namespace: edge}",
            &format!("namespace: edge, annotations: {{istio.io/dry-run: {value}}}}}"),
        );
        let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
        let enforcement = policies(&conversion).first().map(|policy| policy.enforcement);
        (enforcement, problems(&conversion).len())
    };
    assert_eq!(with("'true'"), (Some(Enforcement::DryRun), 0));
    assert_eq!(with("'false'"), (Some(Enforcement::Enforced), 0));
    // Broken: refused, and one more problem says so.
    assert_eq!(with("'yes'"), (None, 2));
    assert_eq!(with("true"), (None, 2));
}
