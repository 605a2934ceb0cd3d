//! Tables and requests for the tests, drawn from few words so that they meet.

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis_crypto::jose::Claims;
use portcullis_filters::Pattern;
use portcullis_message::HostPattern;
use portcullis_model::{
    ClaimMatch, ClaimSense, HeaderMatch, Listener, PathCase, PathMatch, QueryMatch, RequestMatch,
    StringMatch, VirtualHost,
};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::RouteQuery;
use crate::table_tests::{listener, rule};

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let texts = [".*", "/.*", "/a.*", "/[ab]+", "/a/(b|c)/?", "(?i)/AB", "/a|.*b", "/a?", "v.*"];
    texts.into_iter().map(|text| Pattern::parse(text).unwrap()).collect()
});

static CLAIMS: LazyLock<Vec<Claims>> = LazyLock::new(|| {
    let texts = [
        r#"{"sub": "a"}"#,
        r#"{"sub": "ab", "realm": {"roles": ["b", "a"]}}"#,
        r#"{"sub": 1, "realm": "a"}"#,
        r#"{"realm": {"roles": []}}"#,
    ];
    texts.into_iter().map(Claims::for_test).collect()
});

fn pattern() -> impl Strategy<Value = Pattern> {
    any::<Index>().prop_map(|index| index.get(&PATTERNS).clone())
}

fn hosts() -> impl Strategy<Value = HostPattern> {
    select(vec!["*", "*.com", "*.a.com", "*.b.a.com", "a.com", "b.a.com", "c.b.a.com", "d.com"])
        .prop_map(|text| HostPattern::parse(text).unwrap())
}

fn text_match(values: Vec<&'static str>) -> impl Strategy<Value = StringMatch> {
    (0..7, select(values), pattern()).prop_map(|(kind, text, pattern)| match kind {
        0..3 => StringMatch::Exact(text.into()),
        3..6 => StringMatch::Prefix(text.into()),
        _ => StringMatch::Pattern(pattern),
    })
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    let texts = vec!["/", "/a", "/a/", "/a/b", "/ab", "/A/b", "/x", "/a/b/c"];
    let segments = vec!["", "/a", "/a/b", "/A", "/ab"];
    (0..7, select(texts), select(segments), pattern()).prop_map(
        |(kind, text, segments, pattern)| match kind {
            0..2 => PathMatch::Exact(text.into()),
            2..4 => PathMatch::Prefix(text.into()),
            4..6 => PathMatch::Segments(segments.into()),
            _ => PathMatch::Pattern(pattern),
        },
    )
}

fn path_case() -> impl Strategy<Value = PathCase> {
    select(vec![PathCase::Sensitive, PathCase::Sensitive, PathCase::Ignored])
}

fn header_match() -> impl Strategy<Value = HeaderMatch> {
    let name = select(vec!["x-one", "x-two"]).prop_map(HeaderName::from_static);
    let value = proptest::option::of(text_match(vec!["", "v", "vw"]));
    (name, value).prop_map(|(name, value)| HeaderMatch { name, value })
}

fn query_match() -> impl Strategy<Value = QueryMatch> {
    let value = proptest::option::of(text_match(vec!["", "1", "12"]));
    (select(vec!["q", "r"]), value)
        .prop_map(|(name, value)| QueryMatch { name: name.into(), value })
}

fn claim_match() -> impl Strategy<Value = ClaimMatch> {
    let path = select(vec![&["sub"][..], &["realm", "roles"], &["realm"]]);
    let value = proptest::option::of(text_match(vec!["a", "ab", "1"]));
    let sense = select(vec![ClaimSense::Holds, ClaimSense::Fails]);
    (path, value, sense).prop_map(|(path, value, sense)| ClaimMatch {
        path: path.iter().map(|name| (*name).into()).collect(),
        value,
        sense,
    })
}

fn gateways() -> impl Strategy<Value = Vec<Arc<str>>> {
    let one = || vec!["default/one".into()];
    let two = || vec!["default/two".into()];
    let both = || vec!["default/one".into(), "default/two".into()];
    select(vec![vec![], vec![], vec![], vec![], vec![], one(), two(), both()])
}

/// All that is asked of other things than the path.
fn beside_path() -> impl Strategy<Value = RequestMatch> {
    use proptest::collection::vec;
    let texts = (
        weighted(0.1, text_match(vec!["http", "https"])),
        weighted(0.2, text_match(vec!["GET", "P", "PURGE"])),
        weighted(0.1, text_match(vec!["a", "b.a.com", "D.com:80"])),
    );
    let lists = (
        vec(header_match(), 0..2),
        weighted(0.1, vec(header_match(), 1..3)),
        weighted(0.1, vec(query_match(), 1..3)),
        weighted(0.1, vec(claim_match(), 1..3)),
    );
    let listener = (weighted(0.2, select(vec![80, 81])), gateways());
    (texts, lists, listener, proptest::bool::weighted(0.05)).prop_map(
        |(
            (scheme, method, authority),
            (headers, without, query, claims),
            (port, gateways),
            never,
        )| {
            RequestMatch {
                scheme,
                method,
                authority,
                headers,
                without_headers: without.unwrap_or_default(),
                query: query.unwrap_or_default(),
                claims: claims.unwrap_or_default(),
                port,
                gateways,
                never,
                ..RequestMatch::default()
            }
        },
    )
}

fn request_match(path: impl Strategy<Value = PathMatch>) -> impl Strategy<Value = RequestMatch> {
    (weighted(0.9, path), path_case(), weighted(0.4, beside_path())).prop_map(
        |(path, path_case, rest)| RequestMatch { path, path_case, ..rest.unwrap_or_default() },
    )
}

/// Listeners of one socket whose virtual hosts are what their own hosts and those of the routes have in common.
/// All draw on one pool of rules, so that rules come under many hosts.
pub(crate) fn tables() -> impl Strategy<Value = Vec<Arc<Listener>>> {
    use proptest::collection::vec;
    let patterns = || pattern().prop_map(PathMatch::Pattern);
    let pool = prop_oneof![
        4 => vec(vec(request_match(path_match()), 0..4), 1..12),
        1 => vec(vec(request_match(patterns()), 1..4), 1..12),
    ];
    let routes = vec((hosts(), vec(any::<Index>(), 1..10)), 0..5);
    let listeners = vec((vec(hosts(), 1..4), routes, select(vec!["one", "two"])), 1..4);
    (pool, listeners, select(vec![80, 81])).prop_map(|(pool, listeners, port)| {
        let pool: Vec<_> = pool.into_iter().enumerate().map(|(n, each)| rule(n, each)).collect();
        let compose = |(hosts, routes, gateway): (Vec<HostPattern>, Vec<(_, Vec<Index>)>, _)| {
            let mut virtual_hosts = Vec::new();
            for (host, picks) in routes {
                let rules: Vec<_> = picks.iter().map(|pick| pick.get(&pool).clone()).collect();
                let mut common: Vec<_> =
                    hosts.iter().filter_map(|each| each.intersect(&host)).collect();
                common.sort();
                common.dedup();
                virtual_hosts.extend(
                    common.into_iter().map(|host| VirtualHost { host, rules: rules.clone() }),
                );
            }
            let listener = Listener::clone(&listener(hosts, virtual_hosts));
            Arc::new(Listener { gateway: format!("default/{gateway}").into(), port, ..listener })
        };
        listeners.into_iter().map(compose).collect()
    })
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) query: Option<&'static str>,
    pub(crate) headers: HeaderMap,
    pub(crate) claims: Option<Claims>,
}

impl Request {
    pub(crate) fn query(&self) -> RouteQuery<'_> {
        let Request { host, scheme, method, path, query, headers, claims } = self;
        RouteQuery { host, scheme, method, path, query: *query, headers, claims: claims.as_ref() }
    }
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    let field = (select(vec!["x-one", "x-two"]), select(vec!["", "v", "vw", "v,vw"]))
        .prop_map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let hosts = ["a.com", "b.a.com", "c.b.a.com", "x.c.b.a.com", "d.com", "com", "[::1]", ""];
    let paths = ["/", "/a", "/A", "/a/", "/ab", "/aB", "/a/b", "/a/b/c", "/A/B", "/a/c", "/y", "*"];
    let queries = ["", "q=1", "q=12&q=1", "r&q", "q=%31", "r=1&&q"];
    let line = (
        select(hosts.to_vec()),
        select(vec!["http", "https"]),
        select(vec!["GET", "PUT", "PURGE"]),
        select(paths.to_vec()),
        weighted(0.5, select(queries.to_vec())),
    );
    let fields = proptest::collection::vec(field, 0..3);
    let claims = weighted(0.5, any::<Index>());
    (line, fields, claims).prop_map(|((host, scheme, method, path, query), fields, claims)| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let claims = claims.map(|index| index.get(&CLAIMS).clone());
        Request { host, scheme, method, path, query, headers, claims }
    })
}
