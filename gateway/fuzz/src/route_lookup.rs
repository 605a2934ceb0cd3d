//! Tables of routes and the paths held against them: a line for each rule, and one for each request.
//!
//! A rule's line is `=`, `^`, `/` or `~` (exact, prefix, segments, pattern), `i` where the case of the path does not
//! matter, and behind blanks the path and a method. A request's line is `>`, a path and a method.

use std::sync::Arc;

use http::{HeaderMap, Method};
use portcullis_filters::Pattern;
use portcullis_message::HostPattern;
use portcullis_model::{
    Listener, PathCase, PathMatch, RequestMatch, Rule, StringMatch, VirtualHost,
};
use portcullis_routing::{RouteQuery, RouteTable};

/// More rules and requests say nothing new, and take long.
const MOST: usize = 64;

/// The first rule in order that holds takes a request, whatever the index makes of it.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (requests, rules): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('>'));
    let matches: Vec<RequestMatch> = rules.into_iter().filter_map(read_rule).take(MOST).collect();
    let table = table(&matches);
    let headers = HeaderMap::new();
    for (path, method) in requests.into_iter().filter_map(read_request).take(MOST) {
        let query = RouteQuery {
            host: "a",
            scheme: "http",
            method: &method,
            path,
            query: None,
            headers: &headers,
            claims: None,
        };
        let found = table.find_route(&query).map(|route| route.rule_index);
        let wanted = matches.iter().position(|each| holds(each, path, method.as_str()));
        assert_eq!(found, wanted, "{path} {matches:?}");
        let considered = table.consider(&query).route.map(|route| route.rule_index);
        assert_eq!(considered, found, "what is explained is what happens");
    }
}

fn table(matches: &[RequestMatch]) -> RouteTable {
    let rule = |conditions: &RequestMatch| {
        Arc::new(Rule { matches: vec![conditions.clone()], ..Rule::for_test("rule") })
    };
    let rules = matches.iter().map(rule).collect();
    let virtual_hosts = vec![VirtualHost { host: HostPattern::Any, rules }].into();
    RouteTable::build(&[Arc::new(Listener { virtual_hosts, ..Listener::for_test() })])
}

fn read_rule(line: &str) -> Option<RequestMatch> {
    let mut words = line.split_ascii_whitespace();
    let kind = words.next()?;
    let path = words.next()?;
    let path = match kind.chars().next()? {
        '=' => PathMatch::Exact(path.into()),
        '^' => PathMatch::Prefix(path.into()),
        '/' => PathMatch::Segments(path.strip_suffix('/').unwrap_or(path).into()),
        '~' => PathMatch::Pattern(Pattern::parse(path).ok()?),
        _ => return None,
    };
    Some(RequestMatch {
        path: Some(path),
        path_case: if kind.ends_with('i') { PathCase::Ignored } else { PathCase::Sensitive },
        method: words.next().map(|method| StringMatch::Exact(method.into())),
        ..RequestMatch::default()
    })
}

fn read_request(line: &str) -> Option<(&str, Method)> {
    let mut words = line.strip_prefix('>')?.split_ascii_whitespace();
    let path = words.next()?;
    let method = words.next().and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    Some((path, method.unwrap_or(Method::GET)))
}

fn holds(conditions: &RequestMatch, path: &str, method: &str) -> bool {
    let fold = |text: &str| match conditions.path_case {
        PathCase::Sensitive => text.to_owned(),
        PathCase::Ignored => text.to_ascii_lowercase(),
    };
    let actual = fold(path);
    let fits = match &conditions.path {
        None => true,
        Some(PathMatch::Exact(wanted)) => actual == fold(wanted),
        Some(PathMatch::Prefix(prefix)) => actual.starts_with(&fold(prefix)),
        Some(PathMatch::Segments(prefix)) => {
            let rest = actual.strip_prefix(&fold(prefix));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(PathMatch::Pattern(pattern)) => pattern.matches(path),
    };
    fits && conditions.method.as_ref().is_none_or(|wanted| wanted.matches(method))
}
