use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_exchange::{Exchange, ResponseFlag, ResponseHead};
use proptest::prelude::*;

use super::Expression;

fn served() -> Exchange {
    let mut exchange = Exchange::for_test();
    exchange.request.path = "/api/a?debug=1".parse().unwrap();
    exchange.request.authority = HeaderValue::from_static("shop.example");
    exchange.request.headers.insert("x-user", HeaderValue::from_static("ann"));
    exchange.response = Some(ResponseHead::new(StatusCode::NOT_FOUND, HeaderMap::new()));
    exchange.flags.set(ResponseFlag::NoRoute);
    exchange.timings.ended =
        Some(exchange.timings.started + std::time::Duration::from_millis(1500));
    exchange
}

fn holds(text: &str) -> bool {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&served())
}

#[test]
fn what_is_true_of_the_exchange_holds() {
    for text in [
        "response.code >= 400",
        "response.code == 404 && request.method == 'GET'",
        "response.code > 399.5",
        "!(response.code < 400)",
        "response.code in [403, 404]",
        "request.method in ['GET', \"HEAD\"]",
        "request.headers['x-user'] == 'ann'",
        "request.headers['X-User'].startsWith('a') || false",
        "has(request.headers['x-user']) && !has(request.headers.absent)",
        "'x-user' in request.headers",
        "!('absent' in request.headers)",
        "request.url_path.contains('pi/') && request.path.endsWith('=1')",
        "request.path.matches('^/api/[a-z]') && matches(request.host, r'\\.example$')",
        "size(request.url_path) == 6 && request.url_path.size() > 5",
        "response.code == 404 ? request.scheme == 'http' : false",
        "request.duration > duration('1s') && request.duration < duration('1m')",
        "response.flags == 256",
        "!connection.mtls",
        "!has(response.grpc_status)",
        "response.code - 4 == 4 * 100 && response.code % 5 == 4 && -response.code < 0",
        "request.host + request.url_path == 'shop.example/api/a'",
        "int('404') == response.code && string(response.code) == '404'",
        "xds.route_name == 'x' || true",
        "true // a comment\n && '\\u0061\\n' == \"a\\n\" && 0x10 == 16u && 1.5e1 == 15.0",
        "'''it's''' == \"it's\"",
        "request.time > request.time - duration('1s')",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn what_is_not_there_makes_nothing_true_but_where_the_other_side_decides() {
    for text in [
        "request.headers['absent'] == 'x'",
        "request.headers['absent'] != 'x'",
        "!(request.headers['absent'] == 'x')",
        "request.headers.absent == 'x' && true",
        "response.grpc_status > 0",
        "response.code / 0 == 1",
        "response.code * 9223372036854775807 == 0",
        "int(request.method) == 0",
    ] {
        assert!(!holds(text), "{text}");
    }
    assert!(holds("response.grpc_status > 0 || response.code == 404"));
    assert!(holds("response.code == 404 || response.grpc_status > 0"));
    assert!(holds("!(response.grpc_status > 0 && response.code != 404)"));
}

#[test]
fn what_is_no_expression_is_said_with_its_place() {
    for (text, message, at) in [
        ("", "the expression ends too early", 1),
        ("response.code >=", "the expression ends too early", 17),
        ("response.code >= 400)", "an operator is missing before this", 21),
        ("response.code = 400", "`=` means nothing here", 15),
        ("response.code", "this has to be true or false, but is a whole number", 1),
        ("response.code == '404'", "a whole number cannot be compared with a text", 18),
        ("response.kode == 1", "there is no attribute `response.kode`", 1),
        ("respnse.code == 1", "there is no attribute `respnse`", 1),
        ("request == 1", "`request` alone is no attribute", 1),
        ("request.path.first == 1", "a text has no fields", 1),
        ("request.headers[request.path] == 'a'", "the name of a field has to be written out", 1),
        ("request.path in 'a'", "this is no attribute", 17),
        ("request.path in request.host", "behind `in` stands a list", 17),
        ("response.code in ['a']", "a whole number is never a text", 19),
        ("request.path == ['a']", "a list can stand only behind `in`", 17),
        ("!request.path", "this has to be true or false, but is a text", 2),
        ("request.path + 1 == 2", "this operator takes no text and a whole number", 16),
        ("request.path.matches(request.host)", "a pattern has to be written out", 22),
        ("request.path.matches('(')", "the pattern is refused: unclosed group", 22),
        ("[1].exists(x, x == 1)", "there is no function `exists` of these arguments here", 1),
        ("request.duration > duration('x')", "a duration is written as '1.5s' or '250ms'", 29),
        ("'abc", "this text has no end", 1),
        ("'\\q' == 'q'", "`\\q` means nothing in a text", 1),
        ("99999999999999999999 == 1", "`99999999999999999999` is no number", 1),
        ("'ä' == #", "`#` means nothing here", 8),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert!(error.message.starts_with(message), "{text}: {error}");
        assert_eq!(error.at, at, "{text}: {error}");
    }
}

#[test]
fn what_would_be_deep_or_long_is_refused() {
    let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    let nots = format!("{}true", "!".repeat(200));
    let chain = format!("true{}", " || true".repeat(200));
    let members = format!("request.headers{} == 'a'", ".a".repeat(200));
    let long = format!("'{}' == 'a'", "a".repeat(5000));
    for text in [deep, nots, chain, members, long] {
        assert!(Expression::parse(&text).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            expression.holds(&served());
        }
    }

    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(prop_oneof![
        Just("request"), Just(".headers"), Just("['x-user']"), Just("response.code"), Just("=="), Just("&&"), Just("("),
        Just(")"), Just("["), Just("]"), Just("'a'"), Just("1"), Just("-"), Just("!"), Just("?"), Just(":"), Just("in"),
        Just(".matches("), Just("has("), Just("size("), Just("+"), Just("%"), Just("duration('1s')"), Just(","),
    ], 0..12)) {
        if let Ok(expression) = Expression::parse(&words.join(" ")) {
            expression.holds(&served());
        }
    }
}
