//! The table against a naive oracle on generated tables.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use portcullis_filters::{DirectResponse, HeaderOperations, MatchedPath};
use portcullis_message::HostPattern;
use portcullis_model::{
    Action, HeaderMatch, Listener, ListenerProtocol, Origin, PathMatch, RequestMatch,
    RequestOverrides, RequestPolicy, Rule, StringMatch, VirtualHost,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Outcome, Route, RouteQuery, RouteTable};

/// What a naive reader of the rules answers: the route, found by trying everything.
fn oracle(listeners: &[Arc<Listener>], query: &RouteQuery) -> Option<(usize, Arc<Rule>)> {
    let takes = |pattern: &&HostPattern| pattern.matches(query.host);
    let (_, host) = listeners
        .iter()
        .flat_map(|listener| &listener.hosts)
        .filter(takes)
        .map(|host| (host.specificity(), host))
        .max_by_key(|(specificity, _)| *specificity)?;
    let sharing = || listeners.iter().enumerate().filter(|(_, each)| each.hosts.contains(host));
    let (first, _) = sharing().next()?;
    let virtual_hosts = || sharing().flat_map(|(_, listener)| &listener.virtual_hosts);
    let chosen = virtual_hosts()
        .map(|each| &each.host)
        .filter(|pattern| host.contains(pattern))
        .filter(takes)
        .max_by_key(|pattern| pattern.specificity())?;
    let parts: Vec<_> = virtual_hosts().filter(|each| each.host == *chosen).collect();
    let before = parts.iter().flat_map(|part| part.rules.split(|rule| rule.is_catch_all()).next());
    let after =
        parts.iter().flat_map(|part| part.rules.iter().skip_while(|rule| !rule.is_catch_all()));
    let rule = before.flatten().chain(after).find(|rule| naive_match(rule, query))?;
    Some((first, Arc::clone(rule)))
}

fn naive_match(rule: &Rule, query: &RouteQuery) -> bool {
    let text = |wanted: &StringMatch, actual: &str| match wanted {
        StringMatch::Exact(wanted) => **wanted == *actual,
        StringMatch::Prefix(prefix) => actual.strip_prefix(&**prefix).is_some(),
        StringMatch::Pattern(pattern) => pattern.matches(actual),
    };
    let one = |conditions: &RequestMatch| {
        let path = match &conditions.path {
            None => true,
            Some(PathMatch::Exact(wanted)) => **wanted == *query.path,
            Some(PathMatch::Prefix(prefix)) => query.path.strip_prefix(&**prefix).is_some(),
            Some(PathMatch::Segments(_) | PathMatch::Pattern(_)) => false,
        };
        let header = |header: &HeaderMatch| {
            let values: Vec<_> =
                query.headers.get_all(&header.name).iter().map(|v| v.to_str().unwrap()).collect();
            match &header.value {
                None => !values.is_empty(),
                Some(wanted) => values.iter().any(|value| text(wanted, value)),
            }
        };
        !conditions.never
            && path
            && conditions.method.as_ref().is_none_or(|wanted| text(wanted, query.method.as_str()))
            && conditions.authority.as_ref().is_none_or(|wanted| text(wanted, query.host))
            && conditions.headers.iter().all(header)
    };
    rule.matches.is_empty() || rule.matches.iter().any(one)
}

fn patterns() -> impl Strategy<Value = HostPattern> {
    select(vec!["*", "*.com", "*.a.com", "*.b.a.com", "a.com", "b.a.com", "c.b.a.com", "d.com"])
        .prop_map(|text| HostPattern::parse(text).unwrap())
}

fn text_match(values: Vec<&'static str>) -> impl Strategy<Value = StringMatch> {
    (any::<bool>(), select(values)).prop_map(|(exact, text)| {
        if exact { StringMatch::Exact(text.into()) } else { StringMatch::Prefix(text.into()) }
    })
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    (any::<bool>(), select(vec!["/", "/a", "/a/", "/a/b", "/ab", "/x"])).prop_map(
        |(exact, path)| {
            if exact { PathMatch::Exact(path.into()) } else { PathMatch::Prefix(path.into()) }
        },
    )
}

fn header_match() -> impl Strategy<Value = HeaderMatch> {
    let name = select(vec!["x-one", "x-two"]).prop_map(HeaderName::from_static);
    let value = proptest::option::of(text_match(vec!["", "v", "vw"]));
    (name, value).prop_map(|(name, value)| HeaderMatch { name, value })
}

fn request_match() -> impl Strategy<Value = RequestMatch> {
    use proptest::option::weighted;
    (
        weighted(0.8, path_match()),
        weighted(0.2, text_match(vec!["GET", "P", "PURGE"])),
        weighted(0.2, text_match(vec!["a", "b.a.com", "d.com"])),
        proptest::collection::vec(header_match(), 0..2),
        proptest::bool::weighted(0.05),
    )
        .prop_map(|(path, method, authority, headers, never)| RequestMatch {
            path,
            method,
            authority,
            headers,
            never,
            ..RequestMatch::default()
        })
}

fn rule(number: usize, matches: Vec<RequestMatch>) -> Arc<Rule> {
    Arc::new(Rule {
        id: format!("VirtualService/default/test/http[{number}]").into(),
        origin: Origin::for_test(),
        matches,
        action: Action::DirectResponse(DirectResponse {
            status: StatusCode::OK,
            body: Bytes::new(),
        }),
        request_headers: HeaderOperations::default(),
        response_headers: HeaderOperations::default(),
        timeout: None,
        retries: Default::default(),
        mirrors: Vec::new(),
        overrides: RequestOverrides::default(),
        plugins: Vec::new(),
        filters: None,
    })
}

fn listener(hosts: Vec<HostPattern>, virtual_hosts: Vec<VirtualHost>) -> Arc<Listener> {
    Arc::new(Listener {
        origin: Origin::for_test(),
        gateway: "default/gateway".into(),
        server: "http".into(),
        port: 80,
        bind: None,
        protocol: ListenerProtocol::Http,
        hosts,
        https_redirect: false,
        tls: None,
        connections: Arc::default(),
        requests: RequestPolicy::default(),
        virtual_hosts,
        tcp_routes: Vec::new(),
        plugins: Vec::new(),
    })
}

/// Listeners whose virtual hosts are what their own hosts and those of the routes have in common. All
/// draw on one pool of rules, so that rules come under many hosts.
fn tables() -> impl Strategy<Value = Vec<Arc<Listener>>> {
    use proptest::collection::vec;
    let pool = vec(vec(request_match(), 0..3), 1..8);
    let routes = vec((patterns(), vec(any::<proptest::sample::Index>(), 1..5)), 0..5);
    let listeners = vec((vec(patterns(), 1..4), routes), 1..4);
    (pool, listeners).prop_map(|(pool, listeners)| {
        let pool: Vec<_> = pool.into_iter().enumerate().map(|(n, each)| rule(n, each)).collect();
        let compose = |(hosts, routes): (Vec<HostPattern>, Vec<(HostPattern, Vec<_>)>)| {
            let mut virtual_hosts = Vec::new();
            for (host, picks) in routes {
                let rules: Vec<_> = picks
                    .iter()
                    .map(|pick: &proptest::sample::Index| pick.get(&pool).clone())
                    .collect();
                let mut common: Vec<_> =
                    hosts.iter().filter_map(|each| each.intersect(&host)).collect();
                common.sort();
                common.dedup();
                virtual_hosts.extend(
                    common.into_iter().map(|host| VirtualHost { host, rules: rules.clone() }),
                );
            }
            listener(hosts, virtual_hosts)
        };
        listeners.into_iter().map(compose).collect()
    })
}

#[derive(Clone, Debug)]
struct Request {
    host: &'static str,
    method: Method,
    path: &'static str,
    headers: HeaderMap,
}

impl Request {
    fn query(&self) -> RouteQuery<'_> {
        let Request { host, method, path, headers } = self;
        RouteQuery { host, scheme: "http", method, path, query: None, headers, claims: None }
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let field = (select(vec!["x-one", "x-two"]), select(vec!["", "v", "vw", "v,vw"]))
        .prop_map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    (
        select(vec!["a.com", "b.a.com", "c.b.a.com", "x.c.b.a.com", "d.com", "com", "[::1]", ""]),
        select(vec!["GET", "PUT", "PURGE"]),
        select(vec!["/", "/a", "/a/", "/ab", "/a/b/c", "/y", "*"]),
        proptest::collection::vec(field, 0..3),
    )
        .prop_map(|(host, method, path, fields)| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, value);
            }
            Request { host, method: Method::from_bytes(method.as_bytes()).unwrap(), path, headers }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn find_route_equals_the_oracle(listeners in tables(), requests in proptest::collection::vec(requests(), 1..12)) {
        let table = RouteTable::build(&listeners);
        for request in &requests {
            let query = request.query();
            let found = table.find_route(&query);
            let wanted = oracle(&listeners, &query);
            let named = found.map(|route| (route.listener, &table.rules()[route.rule_index]));
            prop_assert_eq!(named.map(|(l, rule)| (l, Arc::as_ptr(rule))), wanted.as_ref().map(|(l, rule)| (*l, Arc::as_ptr(rule))), "{:?}", request);
        }
    }

    #[test]
    fn consider_names_the_rule_that_find_route_picks(listeners in tables(), request in requests()) {
        let table = RouteTable::build(&listeners);
        let query = request.query();
        let found = table.find_route(&query);
        let considered = table.consider(&query);
        prop_assert_eq!(considered.route, found);
        prop_assert_eq!(considered.listener, table.find_listener(query.host));
        prop_assert_eq!(considered.why_not_found(&query).is_some(), found.is_none());
        let matched: Vec<_> = considered.rules.iter().filter(|each| each.outcome == Outcome::Matched).map(|each| each.rule_index).collect();
        prop_assert_eq!(matched, Vec::from_iter(found.map(|route| route.rule_index)));
        let silent = considered.rules.iter().any(|each| each.outcome == Outcome::Lost(String::new()));
        prop_assert!(!silent);
    }

    #[test]
    fn what_a_host_does_not_look_at_changes_no_route(listeners in tables(), request in requests(), other in requests()) {
        let table = RouteTable::build(&listeners);
        let looks_at = table.looks_at(request.host);
        let mut changed = request.clone();
        if !looks_at.method { changed.method = other.method; }
        if !looks_at.headers { changed.headers = other.headers; }
        prop_assert_eq!(table.find_route(&changed.query()), table.find_route(&request.query()));
    }
}

fn path_rule(number: usize, path: &str) -> Arc<Rule> {
    let path = Some(PathMatch::Prefix(path.into()));
    rule(number, vec![RequestMatch { path, ..RequestMatch::default() }])
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn get<'a>(host: &'a str, path: &'a str, headers: &'a HeaderMap) -> RouteQuery<'a> {
    RouteQuery {
        host,
        scheme: "http",
        method: &Method::GET,
        path,
        query: None,
        headers,
        claims: None,
    }
}

#[test]
fn the_most_specific_virtual_host_takes_the_request_and_there_is_no_fallback() {
    let wide = VirtualHost { host: host("*"), rules: vec![path_rule(0, "/")] };
    let narrow = VirtualHost { host: host("a.com"), rules: vec![path_rule(1, "/a")] };
    let table = RouteTable::build(&[listener(vec![host("*")], vec![wide, narrow])]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_route(&get("b.com", "/b", &headers)).unwrap().rule_index, 0);
    assert_eq!(table.find_route(&get("a.com", "/a", &headers)).unwrap().rule_index, 1);
    let query = get("a.com", "/b", &headers);
    assert_eq!(table.find_route(&query), None);
    assert_eq!(
        table.consider(&query).why_not_found(&query).unwrap(),
        "no rule of the host `a.com` matches"
    );
}

#[test]
fn a_listener_of_a_narrower_host_takes_it_without_routes_too() {
    let wide = VirtualHost { host: host("*"), rules: vec![path_rule(0, "/")] };
    let table = RouteTable::build(&[
        listener(vec![host("*")], vec![wide]),
        listener(vec![host("a.com")], Vec::new()),
    ]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_listener("a.com"), Some(1));
    let query = get("a.com", "/", &headers);
    assert_eq!(table.find_route(&query), None);
    assert_eq!(
        table.consider(&query).why_not_found(&query).unwrap(),
        "the listener host `a.com` has no routes for the host `a.com`"
    );
}

#[test]
fn listeners_with_the_same_host_form_one_table_and_catch_alls_move_last() {
    let shared = path_rule(2, "/shared");
    let first = VirtualHost { host: host("a.com"), rules: vec![shared.clone(), path_rule(0, "/")] };
    let second = VirtualHost { host: host("a.com"), rules: vec![path_rule(1, "/one"), shared] };
    let table = RouteTable::build(&[
        listener(vec![host("a.com")], vec![first]),
        listener(vec![host("a.com")], vec![second]),
    ]);
    assert_eq!(table.rules().len(), 3);
    let headers = HeaderMap::new();
    let query = get("a.com", "/one", &headers);
    let route = table.find_route(&query).unwrap();
    assert_eq!(route, Route { listener: 0, rule_index: 2, matched: MatchedPath::Prefix(4) });
    let considered = table.consider(&query);
    let outcomes: Vec<_> = considered.rules.iter().map(|each| each.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Lost("the path `/one` does not begin with `/shared`".into()),
            Outcome::Matched,
            Outcome::Lost(
                "would match, but VirtualService/default/test/http[1] (test.yaml:1:1) comes first"
                    .into()
            ),
        ]
    );
}

#[test]
fn a_rule_of_several_matches_says_why_each_failed() {
    let conditions = |path: &str| RequestMatch {
        path: Some(PathMatch::Exact(path.into())),
        ..RequestMatch::default()
    };
    let both = rule(0, vec![conditions("/a"), conditions("/b")]);
    let virtual_host = VirtualHost { host: host("*"), rules: vec![both] };
    let table = RouteTable::build(&[listener(vec![host("*")], vec![virtual_host])]);
    let headers = HeaderMap::new();
    assert_eq!(
        table.consider(&get("a.com", "/c", &headers)).rules[0].outcome,
        Outcome::Lost(
            "match[0]: the path `/c` is not `/a`; match[1]: the path `/c` is not `/b`".into()
        )
    );
}

#[test]
fn an_empty_table_takes_no_host() {
    let table = RouteTable::build(&[]);
    let headers = HeaderMap::new();
    assert_eq!(table.find_route(&get("", "/", &headers)), None);
    assert_eq!(table.find_listener("a.com"), None);
}
