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
