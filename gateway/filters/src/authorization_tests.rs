//! Authorization policies, one by one and against a naive oracle.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use portcullis_exchange::{Connection, Exchange, RequestHead};
use proptest::prelude::*;

use crate::access_consideration::{AccessVerdict, PolicyOutcome, consider_access};
use crate::{
    AccessAction, AccessPolicy, AccessRule, AccessSense, AccessSubject, AccessTest, Authorization,
    Enforcement, PathTest, TextTest,
};

fn test(subject: AccessSubject) -> AccessTest {
    AccessTest { subject, sense: AccessSense::OneOf }
}

fn not(subject: AccessSubject) -> AccessTest {
    AccessTest { subject, sense: AccessSense::NoneOf }
}

fn texts(values: &[&str]) -> Vec<TextTest> {
    values.iter().map(|value| TextTest::parse(value)).collect()
}

fn paths(values: &[&str]) -> AccessSubject {
    AccessSubject::Path(values.iter().map(|value| PathTest::parse(value).unwrap()).collect())
}

fn header(name: &'static str, values: &[&str]) -> AccessSubject {
    AccessSubject::Header(HeaderName::from_static(name), texts(values))
}

fn when(tests: Vec<AccessTest>) -> AccessRule {
    AccessRule { when: tests, ..AccessRule::default() }
}

fn policy(name: &str, action: AccessAction, rules: Vec<AccessRule>) -> AccessPolicy {
    let enforcement = Enforcement::Enforced;
    AccessPolicy { namespace: "edge".into(), name: name.into(), action, enforcement, rules }
}

fn request(authority: &str, path: &str) -> Exchange {
    let head = RequestHead {
        authority: authority.parse().unwrap(),
        path: path.parse().unwrap(),
        ..RequestHead::default()
    };
    let connection = Connection {
        peer: SocketAddr::from(([10, 0, 0, 7], 4711)),
        port: 80,
        ..Connection::nowhere()
    };
    Exchange::new(Arc::new(connection), head)
}

fn refusal(authorization: &Authorization, exchange: &Exchange) -> Option<String> {
    let custom = authorization.custom_refusal(exchange);
    custom.or_else(|| authorization.refusal(exchange)).map(|refusal| refusal.to_string())
}

fn details(name: &str, rule: usize) -> Option<String> {
    Some(format!("rbac_access_denied_matched_policy[ns[edge]-policy[{name}]-rule[{rule}]]"))
}

const NONE: &str = "rbac_access_denied_matched_policy[none]";

#[test]
fn custom_then_deny_then_allow() {
    let any = || vec![AccessRule::default()];
    let get = request("a", "/x");
    let of = |policies: Vec<AccessPolicy>| refusal(&Authorization::new(policies), &get);
    let [custom, deny, allow, audit] =
        [AccessAction::Custom, AccessAction::Deny, AccessAction::Allow, AccessAction::Audit];
    assert_eq!(of(Vec::new()), None);
    assert_eq!(of(vec![policy("a", allow, any())]), None);
    assert_eq!(of(vec![policy("a", allow, Vec::new())]).as_deref(), Some(NONE));
    assert_eq!(of(vec![policy("d", deny, Vec::new())]), None);
    assert_eq!(of(vec![policy("a", allow, any()), policy("d", deny, any())]), details("d", 0));
    assert_eq!(of(vec![policy("d", deny, any()), policy("c", custom, any())]), details("c", 0));
    assert_eq!(of(vec![policy("w", audit, any())]), None);
    let second = vec![when(vec![test(paths(&["/y"]))]), when(vec![test(paths(&["/x"]))])];
    assert_eq!(of(vec![policy("d", deny, second)]), details("d", 1));
    // One ALLOW that matches is enough.
    let other = policy("b", allow, vec![when(vec![test(paths(&["/y"]))])]);
    assert_eq!(of(vec![other.clone(), policy("a", allow, any())]), None);
    assert_eq!(of(vec![other]).as_deref(), Some(NONE));
}

#[test]
fn dry_runs_and_audits_are_told_and_refuse_nothing() {
    let dry = |name: &str, action, rules| AccessPolicy {
        enforcement: Enforcement::DryRun,
        ..policy(name, action, rules)
    };
    let get = request("a", "/x");
    let any = || vec![AccessRule::default()];
    let authorization = Authorization::new([
        dry("d", AccessAction::Deny, any()),
        dry("a", AccessAction::Allow, Vec::new()),
        policy("w", AccessAction::Audit, any()),
        dry("silent", AccessAction::Deny, Vec::new()),
    ]);
    assert_eq!(refusal(&authorization, &get), None);
    let mut told = Vec::new();
    authorization.watch(&get, |refusal| told.push(refusal.to_string()));
    assert_eq!(told, [details("d", 0).unwrap(), details("w", 0).unwrap(), NONE.to_owned()]);
}

#[test]
fn a_host_is_compared_in_any_case_with_its_port_and_without() {
    let denied = |value: &str, authority: &str| {
        let rule = when(vec![test(AccessSubject::Host(texts(&[value])))]);
        let deny = policy("d", AccessAction::Deny, vec![rule]);
        refusal(&Authorization::new([deny]), &request(authority, "/")).is_some()
    };
    for authority in ["admin.example", "ADMIN.example", "admin.example:8080", "admin.example."] {
        assert!(denied("admin.example", authority), "{authority}");
        assert!(denied("*.Example", authority), "{authority}");
        assert!(denied("Admin.*", authority), "{authority}");
    }
    assert!(denied("admin.example:8080", "admin.example:8080"));
    assert!(denied("admin.example:*", "admin.example:1"));
    assert!(!denied("admin.example:*", "admin.example"));
    assert!(!denied("admin.example", "xadmin.example"));
    assert!(denied("[2001:db8::1]", "[2001:db8::1]:443"));
}

#[test]
fn each_value_of_a_header_is_looked_at_byte_for_byte() {
    let rule = |subject| vec![when(vec![subject])];
    let mut exchange = request("a", "/");
    let denied = |subject: AccessTest, exchange: &Exchange| {
        let deny = policy("d", AccessAction::Deny, rule(subject));
        refusal(&Authorization::new([deny]), exchange).is_some()
    };
    assert!(!denied(test(header("x-a", &["*"])), &exchange));
    assert!(denied(not(header("x-a", &["*"])), &exchange));
    let headers = &mut exchange.request.headers;
    headers.append("x-a", HeaderValue::from_static("one"));
    headers.append("x-a", HeaderValue::from_bytes(b"\xfftwo").unwrap());
    assert!(denied(test(header("x-a", &["one"])), &exchange));
    assert!(denied(test(header("x-a", &["*two"])), &exchange));
    assert!(!denied(test(header("x-a", &["one*two"])), &exchange));
    assert!(!denied(test(header("x-a", &["one,*"])), &exchange));
    assert!(!denied(not(header("x-a", &["one"])), &exchange));
    assert!(denied(not(header("x-a", &["three"])), &exchange));
}

#[test]
fn addresses_are_the_peers_and_the_clients() {
    let mut exchange = request("a", "/");
    exchange.client_address = "[::ffff:192.0.2.9]:0".parse().unwrap();
    let net = |text: &str| vec![text.parse().unwrap()];
    assert!(test(AccessSubject::PeerAddress(net("10.0.0.0/8"))).holds(&exchange));
    assert!(!test(AccessSubject::PeerAddress(net("192.0.2.0/24"))).holds(&exchange));
    assert!(test(AccessSubject::ClientAddress(net("192.0.2.0/24"))).holds(&exchange));
    assert!(not(AccessSubject::ClientAddress(net("10.0.0.0/8"))).holds(&exchange));
    assert!(test(AccessSubject::Port(vec![80, 443])).holds(&exchange));
    assert!(!test(AccessSubject::ServerName(texts(&["*"]))).holds(&exchange));
    exchange.passed_name = Some("a.example".into());
    assert!(test(AccessSubject::ServerName(texts(&["*.EXAMPLE"]))).holds(&exchange));
}

#[test]
fn what_cannot_be_decided_errs_on_the_safe_side() {
    let source = || test(AccessSubject::PeerAddress(vec!["10.0.0.0/8".parse().unwrap()]));
    let elsewhere = || test(AccessSubject::PeerAddress(vec!["11.0.0.0/8".parse().unwrap()]));
    let rule = |from: AccessTest, to| AccessRule {
        from: vec![vec![from]],
        to: vec![vec![test(to)]],
        ..AccessRule::default()
    };
    let connection = request("", "/");
    let of = |action, rule| {
        let whole = Authorization::new([policy("p", action, vec![rule])]);
        refusal(&whole.of_connections(), &connection)
    };
    let get = || AccessSubject::Method(texts(&["POST"]));
    // A DENY of requests denies connections; an ALLOW of requests lets none in.
    assert_eq!(of(AccessAction::Deny, rule(source(), get())), details("p", 0));
    assert_eq!(of(AccessAction::Deny, rule(elsewhere(), get())), None);
    assert_eq!(of(AccessAction::Custom, rule(source(), get())), details("p", 0));
    assert_eq!(of(AccessAction::Allow, rule(source(), get())).as_deref(), Some(NONE));
    let port = || AccessSubject::Port(vec![80]);
    assert_eq!(of(AccessAction::Allow, rule(source(), port())), None);
    // The same for what nobody knows, and for tokens before they are verified.
    let whole = |action, subject| {
        let rules = vec![when(vec![not(subject)])];
        refusal(&Authorization::new([policy("p", action, rules)]), &connection)
    };
    assert_eq!(whole(AccessAction::Allow, AccessSubject::Unknown).as_deref(), Some(NONE));
    assert_eq!(whole(AccessAction::Deny, AccessSubject::Unknown), details("p", 0));
    let token = || test(AccessSubject::RequestPrincipal(texts(&["*"])));
    let custom = policy("c", AccessAction::Custom, vec![when(vec![token()])]);
    assert_eq!(refusal(&Authorization::new([custom]), &connection), details("c", 0));
    let deny = policy("d", AccessAction::Deny, vec![when(vec![token()])]);
    assert_eq!(refusal(&Authorization::new([deny]), &connection), None);
}

/// What a test asks, written down once more: a path, a method, a header, each with or without `not`.
fn any_test() -> impl Strategy<Value = AccessTest> {
    let values = prop::collection::vec(prop::sample::select(VALUES), 1..3);
    (values, 0..4_u8, any::<bool>()).prop_map(|(values, subject, negative)| {
        let subject = match subject {
            0 => paths(&values),
            1 => AccessSubject::Method(texts(&values)),
            2 => AccessSubject::Host(texts(&values)),
            _ => header("x-a", &values),
        };
        let sense = if negative { AccessSense::NoneOf } else { AccessSense::OneOf };
        AccessTest { subject, sense }
    })
}

const VALUES: &[&str] =
    &["*", "/a", "/a*", "*b", "/a/{*}", "/{**}", "GET", "P*", "b", "host", "ho*", "a"];

fn any_rule() -> impl Strategy<Value = AccessRule> {
    let entries = || prop::collection::vec(prop::collection::vec(any_test(), 1..3), 0..3);
    (entries(), entries(), prop::collection::vec(any_test(), 0..3))
        .prop_map(|(from, to, when)| AccessRule { from, to, when, never: false })
}

fn any_policy() -> impl Strategy<Value = AccessPolicy> {
    let action = prop::sample::select(vec![
        AccessAction::Custom,
        AccessAction::Deny,
        AccessAction::Allow,
        AccessAction::Audit,
    ]);
    let rules = prop::collection::vec(any_rule(), 0..3);
    let dry = prop::bool::weighted(0.2);
    (action, rules, dry).prop_map(|(action, rules, dry)| AccessPolicy {
        enforcement: if dry { Enforcement::DryRun } else { Enforcement::Enforced },
        ..policy("p", action, rules)
    })
}

fn any_request() -> impl Strategy<Value = Exchange> {
    let path = prop::sample::select(vec!["/", "/a", "/ab", "/a/b", "/a/b/c", "/b?x=/a"]);
    let host = prop::sample::select(vec!["host", "HOST:80", "other", "b"]);
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::PUT]);
    let field = prop::sample::select(vec!["", "a", "b", "/a", "xb"]);
    (path, host, method, prop::collection::vec(field, 0..3)).prop_map(
        |(path, host, method, fields)| {
            let mut exchange = request(host, path);
            exchange.request.method = method;
            for field in fields {
                exchange.request.headers.append("x-a", HeaderValue::from_static(field));
            }
            exchange
        },
    )
}

/// The same semantics as plainly as they can be written.
mod oracle {
    use super::*;

    pub(super) fn passes(policies: &[AccessPolicy], exchange: &Exchange) -> bool {
        let enforced: Vec<&AccessPolicy> =
            policies.iter().filter(|policy| policy.enforcement == Enforcement::Enforced).collect();
        let some = |action| {
            enforced.iter().any(|policy| policy.action == action && matches(policy, exchange))
        };
        let has_allow = enforced.iter().any(|policy| policy.action == AccessAction::Allow);
        !some(AccessAction::Custom)
            && !some(AccessAction::Deny)
            && (!has_allow || some(AccessAction::Allow))
    }

    fn matches(policy: &AccessPolicy, exchange: &Exchange) -> bool {
        policy.rules.iter().any(|rule| {
            let any = |entries: &Vec<Vec<AccessTest>>| {
                entries.is_empty()
                    || entries.iter().any(|tests| tests.iter().all(|test| holds(test, exchange)))
            };
            any(&rule.from) && any(&rule.to) && rule.when.iter().all(|test| holds(test, exchange))
        })
    }

    fn holds(test: &AccessTest, exchange: &Exchange) -> bool {
        let request = &exchange.request;
        let found = match &test.subject {
            AccessSubject::Path(values) => values.iter().any(|value| match value {
                PathTest::Text(text) => fits(text, request.path.path()),
                PathTest::Template(_) => template(value, request.path.path()),
            }),
            AccessSubject::Method(values) => {
                values.iter().any(|value| fits(value, request.method.as_str()))
            }
            AccessSubject::Host(values) => {
                let host = request.authority_str().to_lowercase();
                let bare = host.split(':').next().unwrap_or_default();
                values.iter().any(|value| {
                    let value = lower(value);
                    fits(&value, &host) || fits(&value, bare)
                })
            }
            AccessSubject::Header(name, values) => {
                request.headers.get_all(name).iter().any(|field| {
                    let field = field.to_str().unwrap();
                    values.iter().any(|value| *value == TextTest::Present || fits(value, field))
                })
            }
            _ => unreachable!("not generated"),
        };
        match test.sense {
            AccessSense::OneOf => found,
            AccessSense::NoneOf => !found,
        }
    }

    fn fits(value: &TextTest, text: &str) -> bool {
        match value {
            TextTest::Present => !text.is_empty(),
            TextTest::Exact(wanted) => **wanted == *text,
            TextTest::Prefix(prefix) => text.starts_with(&**prefix),
            TextTest::Suffix(suffix) => text.ends_with(&**suffix),
        }
    }

    fn lower(value: &TextTest) -> TextTest {
        let lower = |text: &str| text.to_lowercase().into();
        match value {
            TextTest::Present => TextTest::Present,
            TextTest::Exact(text) => TextTest::Exact(lower(text)),
            TextTest::Prefix(text) => TextTest::Prefix(lower(text)),
            TextTest::Suffix(text) => TextTest::Suffix(lower(text)),
        }
    }

    /// Of the two that are generated.
    fn template(value: &PathTest, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        if *value == PathTest::parse("/a/{*}").unwrap() {
            matches!(segments.as_slice(), ["", "a", last] if !last.is_empty())
        } else {
            segments.len() > 1
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_verdict_is_the_oracles(
        policies in prop::collection::vec(any_policy(), 0..4),
        exchange in any_request(),
    ) {
        let authorization = Authorization::new(policies.clone());
        let passes = refusal(&authorization, &exchange).is_none();
        prop_assert_eq!(passes, oracle::passes(&policies, &exchange));
        // What is explained is the same; of what is not known nothing definite is said that would be wrong.
        let explained = consider_access(&authorization, &exchange, |_| true);
        prop_assert_eq!(passes, matches!(explained.verdict, AccessVerdict::Passes));
        let blind = |subject: &AccessSubject| !matches!(subject, AccessSubject::Header(..));
        match consider_access(&authorization, &exchange, blind).verdict {
            AccessVerdict::Passes => prop_assert!(passes),
            AccessVerdict::Refused(_) => prop_assert!(!passes),
            AccessVerdict::Depends => {}
        }
    }
}

#[test]
fn what_is_not_known_is_named() {
    let rule = when(vec![
        test(paths(&["/x"])),
        test(AccessSubject::PeerAddress(vec!["10.0.0.0/8".parse().unwrap()])),
    ]);
    let authorization = Authorization::new([policy("d", AccessAction::Deny, vec![rule])]);
    let known = |subject: &AccessSubject| matches!(subject, AccessSubject::Path(_));
    let exchange = request("a", "/x");
    let considered = consider_access(&authorization, &exchange, known);
    assert_eq!(considered.policies[0].outcome, PolicyOutcome::Depends(vec!["source.ip"]));
    assert!(matches!(considered.verdict, AccessVerdict::Depends));
    let exchange = request("a", "/y");
    let considered = consider_access(&authorization, &exchange, known);
    assert_eq!(considered.policies[0].outcome, PolicyOutcome::DoesNot);
    assert!(matches!(considered.verdict, AccessVerdict::Passes));
}

#[test]
fn what_lets_pass_for_one_lets_nothing_pass_for_another() {
    let allow = |name: &str, path: &str| {
        let policy = policy(name, AccessAction::Allow, vec![when(vec![test(paths(&[path]))])]);
        Authorization::new([policy])
    };
    let both = allow("ours", "/a/*").and(allow("theirs", "*"));
    assert_eq!(refusal(&both, &request("a", "/a/x")), None);
    assert_eq!(refusal(&both, &request("a", "/b")).as_deref(), Some(NONE));
    let verdict = |path: &str| consider_access(&both, &request("a", path), |_| true).verdict;
    assert!(matches!(verdict("/a/x"), AccessVerdict::Passes));
    assert!(matches!(verdict("/b"), AccessVerdict::Refused(_)));
    let known = consider_access(&both, &request("a", "/b"), |_| false).verdict;
    assert!(matches!(known, AccessVerdict::Depends));
    // Who demands nothing refuses nothing.
    let one = Authorization::new([]).and(allow("ours", "/a/*"));
    assert_eq!(refusal(&one, &request("a", "/a/x")), None);
    let connections = both.of_connections();
    assert_eq!(refusal(&connections, &request("a", "/a/x")).as_deref(), Some(NONE));
}
