//! The operators that a log format may use, and what each one reads from an exchange.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use portcullis_exchange::{Exchange, Protocol, ResponseFlags};

use crate::log_time::TimeFormat;

/// One operator, ready to be read.
#[derive(Clone, Debug)]
pub(crate) enum Operator {
    StartTime(TimeFormat),
    RequestField(Field),
    RequestFieldOr(Field, Field),
    ResponseField(Field),
    ResponseFieldOr(Field, Field),
    Trailer(HeaderName),
    TrailerOr(HeaderName, HeaderName),
    FilterState(Box<str>),
    /// What is known when the format is compiled.
    Constant(Box<str>),
    /// What this gateway never has a value for, such as a client certificate that it did not ask for.
    Absent,
    /// Everything without an argument.
    Plain(fn(&Exchange) -> Value<'_>),
}

/// A header or a pseudo-header.
#[derive(Clone, Debug)]
pub(crate) enum Field {
    Method,
    Scheme,
    Authority,
    Path,
    OriginalPath,
    RequestId,
    Status,
    UpstreamServiceTime,
    Header(HeaderName),
}

/// What an operator found; written without allocating.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Missing,
    /// A number in JSON too.
    Number(u64),
    /// Digits, but a string in JSON.
    Digits(u64),
    /// Escaped when written.
    Text(&'a [u8]),
    Address(SocketAddr),
    Ip(IpAddr),
    Flags(ResponseFlags),
    Time(&'a TimeFormat, SystemTime),
}

impl Operator {
    /// What the operator says about an exchange.
    pub(crate) fn value<'a>(&'a self, exchange: &'a Exchange) -> Value<'a> {
        match self {
            Operator::StartTime(format) => Value::Time(format, exchange.timings.started_at),
            Operator::RequestField(field) => field.of_request(exchange),
            Operator::RequestFieldOr(field, or) => {
                field.of_request(exchange).or_else(|| or.of_request(exchange))
            }
            Operator::ResponseField(field) => field.of_response(exchange),
            Operator::ResponseFieldOr(field, or) => {
                field.of_response(exchange).or_else(|| or.of_response(exchange))
            }
            Operator::Trailer(name) => trailer(exchange, name),
            Operator::TrailerOr(name, or) => {
                trailer(exchange, name).or_else(|| trailer(exchange, or))
            }
            Operator::FilterState(name) => Value::bytes(exchange.state(name)),
            Operator::Constant(text) => Value::text(text),
            Operator::Absent => Value::Missing,
            Operator::Plain(read) => read(exchange),
        }
    }
}

impl Field {
    /// A header's name, or a pseudo-header's with its colon.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":method" => Field::Method,
            ":scheme" => Field::Scheme,
            ":authority" | "host" => Field::Authority,
            ":path" => Field::Path,
            ":status" => Field::Status,
            "x-envoy-original-path" => Field::OriginalPath,
            "x-envoy-upstream-service-time" => Field::UpstreamServiceTime,
            "x-request-id" => Field::RequestId,
            name => Field::Header(HeaderName::try_from(name).ok()?),
        })
    }

    fn of_request<'a>(&'a self, exchange: &'a Exchange) -> Value<'a> {
        let request = &exchange.request;
        if request.protocol == Protocol::Tcp {
            return Value::Missing;
        }
        match self {
            Field::Method => Value::text(request.method.as_str()),
            Field::Scheme => Value::text(request.scheme),
            Field::Authority => Value::text_unless_empty(request.authority.as_bytes()),
            Field::Path => Value::text(request.path.as_str()),
            Field::OriginalPath => Value::option(exchange.original_path.as_deref()),
            Field::RequestId => Value::text_unless_empty(exchange.request_id.as_bytes()),
            Field::Header(name) => Value::header(request.headers.get(name)),
            Field::Status | Field::UpstreamServiceTime => Value::Missing,
        }
    }

    fn of_response<'a>(&'a self, exchange: &'a Exchange) -> Value<'a> {
        let Some(response) = &exchange.response else { return Value::Missing };
        match self {
            Field::Status => Value::Digits(response.status.as_u16().into()),
            Field::UpstreamServiceTime => match exchange.timings.upstream_service_time() {
                Some(took) => Value::Digits(milliseconds(took)),
                None => Value::header(response.headers.get("x-envoy-upstream-service-time")),
            },
            Field::RequestId => Value::header(response.headers.get("x-request-id")),
            Field::Header(name) => Value::header(response.headers.get(name)),
            Field::Method
            | Field::Scheme
            | Field::Authority
            | Field::Path
            | Field::OriginalPath => Value::Missing,
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Value::Text(text.as_bytes())
    }

    pub(crate) fn text_unless_empty(text: &'a [u8]) -> Self {
        if text.is_empty() { Value::Missing } else { Value::Text(text) }
    }

    pub(crate) fn option(text: Option<&'a str>) -> Self {
        text.map_or(Value::Missing, Value::text)
    }

    pub(crate) fn duration(took: Option<Duration>) -> Self {
        took.map_or(Value::Missing, |took| Value::Number(milliseconds(took)))
    }

    fn bytes(bytes: Option<&'a bytes::Bytes>) -> Self {
        bytes.map_or(Value::Missing, |bytes| Value::Text(bytes))
    }

    pub(crate) fn header(value: Option<&'a HeaderValue>) -> Self {
        value.map_or(Value::Missing, |value| Value::Text(value.as_bytes()))
    }

    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Value::Missing) { other() } else { self }
    }
}

fn trailer<'a>(exchange: &'a Exchange, name: &HeaderName) -> Value<'a> {
    let trailers = exchange.response.as_ref().and_then(|response| response.trailers.as_ref());
    Value::header(trailers.and_then(|trailers| trailers.get(name)))
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
