//! Expressions that say what is logged.

use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_exchange::{Exchange, ResponseHead};
use portcullis_telemetry::Expression;

/// What is an expression has a verdict on any exchange, the same each time; what is none is refused at a place in it.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Expression::parse(&text) {
        Ok(expression) => {
            let exchange = exchange();
            assert_eq!(expression.holds(&exchange), expression.holds(&exchange));
            expression.holds(&Exchange::for_test());
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.at), "{error} of {text:?}");
        }
    }
}

fn exchange() -> Exchange {
    let mut exchange = Exchange::for_test();
    exchange.request.headers.insert("x-user", HeaderValue::from_static("ann"));
    exchange.response = Some(ResponseHead::new(StatusCode::NOT_FOUND, HeaderMap::new()));
    exchange.timings.ended = Some(exchange.timings.started);
    exchange
}
