//! Access-log formats: Envoy's operators, compiled once.

use std::io::Write;
use std::sync::Arc;

use portcullis_exchange::Exchange;

use crate::log_escape::{cut, push_escaped};
use crate::log_operator::{Operator, Value};
use crate::log_parser::{FormatError, Token, parse_format};

/// How an access-log line looks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLogFormat {
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    /// Written as it stands.
    Literal(Vec<u8>),
    /// An operator within text: `-` where it has no value.
    Text { operator: Operator, limit: Option<usize> },
    /// An operator that is a whole JSON value: a number, a string, or `null`.
    Json { operator: Operator, limit: Option<usize> },
}

/// Istio's default line.
const TEXT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    r#""%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% "#,
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%",
);

/// Istio's JSON line.
const JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
];

impl AccessLogFormat {
    /// Compiles a line of text with operators, such as `%REQ(:METHOD)% %RESPONSE_CODE%`.
    pub fn compile(format: &str) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        push_text(&mut pieces, parse_format(format)?, Literals::AsTheyAre);
        if !format.ends_with('\n') {
            push_literal(&mut pieces, b"\n");
        }
        Ok(AccessLogFormat { pieces: pieces.into() })
    }

    /// Compiles a JSON object of keys and formats. A format that is one operator gives a JSON value of its own
    /// type, anything else a string.
    pub fn compile_json<'a>(
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        push_literal(&mut pieces, b"{");
        for (nth, (key, format)) in fields.into_iter().enumerate() {
            push_key(&mut pieces, nth, key);
            push_json_value(&mut pieces, parse_format(format)?);
        }
        push_literal(&mut pieces, b"}\n");
        Ok(AccessLogFormat { pieces: pieces.into() })
    }

    /// Istio's default line of text.
    pub fn text() -> Self {
        preset(Self::compile(TEXT))
    }

    /// Istio's JSON line with its 24 keys.
    pub fn json() -> Self {
        preset(Self::compile_json(JSON))
    }

    /// Appends an exchange's line, its newline included.
    pub fn write(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        for piece in &*self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Text { operator, limit } => {
                    push_as_text(out, operator.value(exchange), *limit);
                }
                Piece::Json { operator, limit } => {
                    push_as_json(out, operator.value(exchange), *limit);
                }
            }
        }
    }
}

/// The presets always compile (a test says so); an empty line is better than a crash.
fn preset(compiled: Result<AccessLogFormat, FormatError>) -> AccessLogFormat {
    compiled.unwrap_or_else(|_| AccessLogFormat { pieces: Arc::new([]) })
}

#[derive(Clone, Copy)]
enum Literals {
    AsTheyAre,
    Escaped,
}

fn push_text(pieces: &mut Vec<Piece>, tokens: Vec<Token>, literals: Literals) {
    for token in tokens {
        match (token, literals) {
            (Token::Literal(text), Literals::AsTheyAre) => push_literal(pieces, text.as_bytes()),
            (Token::Literal(text), Literals::Escaped) => {
                let mut escaped = Vec::new();
                push_escaped(&mut escaped, text.as_bytes());
                push_literal(pieces, &escaped);
            }
            (Token::Operator { operator, limit }, _) => {
                pieces.push(Piece::Text { operator, limit });
            }
        }
    }
}

fn push_json_value(pieces: &mut Vec<Piece>, mut tokens: Vec<Token>) {
    if tokens.len() == 1 {
        match tokens.remove(0) {
            Token::Operator { operator, limit } => {
                pieces.push(Piece::Json { operator, limit });
                return;
            }
            literal => tokens.push(literal),
        }
    }
    push_literal(pieces, b"\"");
    push_text(pieces, tokens, Literals::Escaped);
    push_literal(pieces, b"\"");
}

fn push_key(pieces: &mut Vec<Piece>, nth: usize, key: &str) {
    let mut escaped = if nth > 0 { b",\"".to_vec() } else { b"\"".to_vec() };
    push_escaped(&mut escaped, key.as_bytes());
    escaped.extend_from_slice(b"\":");
    push_literal(pieces, &escaped);
}

/// Literals side by side become one.
fn push_literal(pieces: &mut Vec<Piece>, text: &[u8]) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.extend_from_slice(text),
        _ => pieces.push(Piece::Literal(text.to_vec())),
    }
}

fn push_as_json(out: &mut Vec<u8>, value: Value<'_>, limit: Option<usize>) {
    match value {
        Value::Missing => out.extend_from_slice(b"null"),
        Value::Number(_) => push_as_text(out, value, limit),
        _ => {
            out.push(b'"');
            push_as_text(out, value, limit);
            out.push(b'"');
        }
    }
}

fn push_as_text(out: &mut Vec<u8>, value: Value<'_>, limit: Option<usize>) {
    match value {
        Value::Missing => out.push(b'-'),
        Value::Number(number) | Value::Digits(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        Value::Text(text) => push_escaped(out, limit.map_or(text, |limit| cut(text, limit))),
        Value::Time(format, moment) => format.push(out, moment),
        // Writing to a Vec cannot fail, and neither allocates.
        Value::Address(address) => {
            let _ = match address.ip().to_canonical() {
                std::net::IpAddr::V4(ip) => write!(out, "{ip}:{}", address.port()),
                std::net::IpAddr::V6(ip) => write!(out, "[{ip}]:{}", address.port()),
            };
        }
        Value::Ip(ip) => {
            let _ = write!(out, "{}", ip.to_canonical());
        }
        Value::Flags(flags) => {
            let _ = write!(out, "{flags}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderValue, Method, StatusCode};
    use portcullis_exchange::{ResponseFlag, ResponseHead, Upstream};
    use proptest::prelude::*;

    use super::*;

    fn served() -> Exchange {
        let mut exchange = Exchange::for_test();
        exchange.timings.started_at = UNIX_EPOCH + Duration::from_millis(1_600_000_000_123);
        exchange.timings.ended = Some(exchange.timings.started + Duration::from_millis(7));
        exchange.timings.upstream_sent = Some(exchange.timings.started);
        exchange.timings.upstream_replied =
            Some(exchange.timings.started + Duration::from_millis(5));
        exchange.request.method = Method::POST;
        exchange.request.path = "/new?q=1".parse().unwrap();
        exchange.original_path = Some("/old?q=1".into());
        exchange.request.authority = HeaderValue::from_static("shop.example");
        exchange.request_id = HeaderValue::from_static("id-1");
        exchange.client_address = "192.0.2.1:4711".parse().unwrap();
        exchange.bytes_received = 12;
        exchange.bytes_sent = 345;
        exchange.route = Some("VirtualService/shop/web/http[0]".into());
        exchange.cluster = Some("outbound|80||shop".into());
        exchange.code_details = "via_upstream".into();
        exchange.generation = 7;
        exchange.response = Some(ResponseHead::new(StatusCode::OK, HeaderMap::new()));
        exchange.upstream = Some(Upstream {
            address: "10.0.0.7:8080".parse().unwrap(),
            local_address: Some("[::ffff:10.0.0.1]:50000".parse().unwrap()),
        });
        exchange
    }

    fn line(format: &AccessLogFormat, exchange: &Exchange) -> String {
        let mut out = Vec::new();
        format.write(exchange, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn written(format: &str, exchange: &Exchange) -> String {
        let written = line(&AccessLogFormat::compile(format).unwrap(), exchange);
        written.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn the_text_preset_is_istios_line() {
        let mut exchange = served();
        let agent = HeaderValue::from_static("curl/8");
        exchange.request.headers.insert("user-agent", agent);
        let local = exchange.connection.local;
        assert_eq!(
            line(&AccessLogFormat::text(), &exchange),
            format!(
                "[2020-09-13T12:26:40.123Z] \"POST /old?q=1 HTTP/1.1\" 200 - via_upstream - \"-\" 12 345 7 5 \
                 \"-\" \"curl/8\" \"id-1\" \"shop.example\" \"10.0.0.7:8080\" outbound|80||shop \
                 10.0.0.1:50000 {local} 192.0.2.1:4711 - VirtualService/shop/web/http[0]\n"
            )
        );
    }

    #[test]
    fn the_json_preset_has_istios_keys_and_types() {
        let text = line(&AccessLogFormat::json(), &served());
        assert_eq!(text.matches('\n').count(), 1);
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        assert_eq!(object.len(), 24);
        assert_eq!(object["response_code"], 200);
        assert_eq!(object["upstream_service_time"], "5");
        assert_eq!(object["user_agent"], serde_json::Value::Null);
        assert_eq!(object["path"], "/old?q=1");
        assert_eq!(object["start_time"], "2020-09-13T12:26:40.123Z");
    }

    #[test]
    fn fields_fall_back_and_are_cut() {
        let mut exchange = served();
        assert_eq!(written("%REQ(X-A?:METHOD)%", &exchange), "POST");
        assert_eq!(written("%REQ(:AUTHORITY):4%|%REQ(X-A):3%", &exchange), "shop|-");
        exchange.request.headers.insert("x-a", HeaderValue::from_static("a"));
        assert_eq!(written("%REQ(x-a?:METHOD)%", &exchange), "a");
        assert_eq!(written("%RESP(:STATUS)% %RESP(X-B?X-C)%", &exchange), "200 -");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        exchange.response.as_mut().unwrap().trailers = Some(trailers);
        let format = "%TRAILER(GRPC-STATUS)%%TRAILER(A?B)% %GRPC_STATUS_NUMBER%";
        assert_eq!(written(format, &exchange), "0- 0");
    }

    #[test]
    fn addresses_and_ours_are_written() {
        let mut exchange = served();
        exchange.set_state("user", "ada".into());
        exchange.flags.set(ResponseFlag::UpstreamRequestTimeout);
        let format = "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %GENERATION% \
                      %FILTER_STATE(wasm.user:PLAIN)% %FILTER_STATE(wasm.none)% %RESPONSE_FLAGS% 100%%";
        assert_eq!(written(format, &exchange), "10.0.0.1 8080 7 ada - UT 100%");
        assert_eq!(written("%START_TIME(%s.%6f)%", &exchange), "1600000000.123000");
    }

    #[test]
    fn a_request_without_a_reply_has_code_0() {
        let mut exchange = served();
        exchange.response = None;
        assert_eq!(written("%RESPONSE_CODE% %RESP(:STATUS)%", &exchange), "0 -");
    }

    #[test]
    fn strangers_cannot_forge_lines() {
        let mut exchange = served();
        let forged = HeaderValue::from_bytes(b"x\" 200\t\xff").unwrap();
        exchange.request.headers.insert("user-agent", forged);
        exchange.set_state("user", "a\n[2020] \"GET".into());
        let format = "\"%REQ(USER-AGENT)%\" %FILTER_STATE(wasm.user)%";
        let expected = "\"x\\\" 200\\t\u{fffd}\" a\\n[2020] \\\"GET";
        assert_eq!(written(format, &exchange), expected);
    }

    #[test]
    fn json_templates_become_strings() {
        let fields = [("a\"b", "%PROTOCOL% \"%BYTES_SENT%\""), ("n", "%BYTES_SENT%"), ("l", "x")];
        let format = AccessLogFormat::compile_json(fields).unwrap();
        let expected = "{\"a\\\"b\":\"HTTP/1.1 \\\"345\\\"\",\"n\":345,\"l\":\"x\"}\n";
        assert_eq!(line(&format, &served()), expected);
    }

    proptest! {
        #[test]
        fn compiling_never_panics(format in "(%|[A-Z_]{1,12}|\\(|\\)|:|[0-9]|\\?|.){0,24}") {
            if let Ok(format) = AccessLogFormat::compile(&format) {
                line(&format, &served());
            }
        }

        #[test]
        fn what_begins_like_an_operator_never_panics(
            name in "START_TIME|REQ|RESP|TRAILER|FILTER_STATE|DURATION|PROTOCOL|FOO",
            argument in "(\\([^)]{0,12}\\)?)?",
            rest in "(:[0-9a-z]{0,24})?%?",
        ) {
            let format = format!("%{name}{argument}{rest}");
            if let Ok(format) = AccessLogFormat::compile(&format) {
                line(&format, &served());
            }
        }

        #[test]
        fn json_always_parses(
            agent in proptest::collection::vec(any::<u8>(), 0..40),
            state in proptest::collection::vec(any::<u8>(), 0..40),
            key in ".{0,8}",
            time in "[^%)]{0,8}",
            limit in 0usize..40,
        ) {
            let mut exchange = served();
            if let Ok(agent) = HeaderValue::from_bytes(&agent) {
                exchange.request.headers.insert("user-agent", agent);
            }
            exchange.set_state("s", state.into());
            let time = format!("%START_TIME(%Y{time})%");
            let cut = format!("%REQ(USER-AGENT):{limit}%");
            let mixed = format!("{}%FILTER_STATE(wasm.s):{limit}%", key.replace('%', "%%"));
            let fields = [(key.as_str(), "%FILTER_STATE(wasm.s)%"), ("t", &time), ("c", &cut), ("m", &mixed)];
            let format = AccessLogFormat::compile_json(fields).unwrap();
            for text in [line(&format, &exchange), line(&AccessLogFormat::json(), &exchange)] {
                prop_assert_eq!(text.matches('\n').count(), 1);
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
    }
}
