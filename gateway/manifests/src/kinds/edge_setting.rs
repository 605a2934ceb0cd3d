//! One setting of connections or requests: where it may be made, and what it changes in the model.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_filters::{ErrorBody, RateLimit};
use portcullis_message::{Backslashes, EscapedSlashes, Slashes, Underscores};
use portcullis_model::{
    ConnectionPolicy, Origin, ProxyProtocol, RequestOverrides, RequestPolicy, RuleFilters,
};

/// A setting and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedSetting {
    pub(crate) setting: Setting,
    /// The field's path, as `spec.timeouts.idle`.
    pub(crate) field: String,
    pub(crate) origin: Origin,
}

/// One field with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Setting {
    TlsHandshake(Duration),
    FirstByte(Duration),
    RequestHead(Duration),
    Idle(Duration),
    MaxAge(Option<Duration>),
    Connections(u32),
    ProxyProtocol(ProxyProtocol),
    HeadBytes(usize),
    FieldBytes(usize),
    RequestLineBytes(usize),
    Fields(usize),
    Streams(u32),
    StreamWindow(u32),
    ConnectionWindow(u32),
    ControlFrames(u32),
    Slashes(Slashes),
    EscapedSlashes(EscapedSlashes),
    Backslashes(Backslashes),
    Underscores(Underscores),
    RequestBody(Option<u64>),
    StreamIdle(Option<Duration>),
    StalledBody(Option<Duration>),
    MinRate(u32),
    RateLimit(Option<WrittenLimit>),
    ErrorBodies(Arc<[ErrorBody]>),
}

/// A rate limit, of which it is not settled whose it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WrittenLimit {
    pub(crate) requests: u32,
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
    pub(crate) status: StatusCode,
}

/// What a setting can be made for, at the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of a socket: it counts before it is known which host is meant.
    Socket,
    /// One server of a Gateway.
    Server,
    /// One rule of a VirtualService.
    Rule,
}

impl Setting {
    /// What it can be made for.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Setting::RequestBody(_)
            | Setting::StreamIdle(_)
            | Setting::StalledBody(_)
            | Setting::MinRate(_)
            | Setting::RateLimit(_)
            | Setting::ErrorBodies(_) => Reach::Rule,
            Setting::Slashes(_)
            | Setting::EscapedSlashes(_)
            | Setting::Backslashes(_)
            | Setting::Underscores(_) => Reach::Server,
            _ => Reach::Socket,
        }
    }

    /// Whether both are the same field, whatever their values.
    pub(crate) fn is_same_field(&self, other: &Setting) -> bool {
        discriminant(self) == discriminant(other)
    }

    /// Makes it for a socket, where it is a socket's.
    pub(crate) fn set_connections(&self, policy: &mut ConnectionPolicy) {
        match *self {
            Setting::TlsHandshake(time) => policy.tls_handshake = time,
            Setting::FirstByte(time) => policy.first_byte = time,
            Setting::RequestHead(time) => policy.request_head = time,
            Setting::Idle(time) => policy.idle = time,
            Setting::MaxAge(age) => policy.max_age = age,
            Setting::Connections(number) => policy.max_connections = number,
            Setting::ProxyProtocol(header) => policy.proxy_protocol = header,
            Setting::HeadBytes(size) => policy.head.total = size,
            Setting::FieldBytes(size) => policy.head.field = size,
            Setting::RequestLineBytes(size) => policy.head.line = size,
            Setting::Fields(number) => policy.head.fields = number,
            Setting::Streams(number) => policy.http2.streams = number,
            Setting::StreamWindow(size) => policy.http2.stream_window = size,
            Setting::ConnectionWindow(size) => policy.http2.connection_window = size,
            Setting::ControlFrames(number) => policy.http2.control_frames = number,
            _ => {}
        }
    }

    /// Makes it for a server, where it is a server's or a rule's.
    pub(crate) fn set_requests(&self, policy: &mut RequestPolicy) {
        match *self {
            Setting::Slashes(slashes) => policy.head.slashes = slashes,
            Setting::EscapedSlashes(slashes) => policy.head.escaped_slashes = slashes,
            Setting::Backslashes(slashes) => policy.head.backslashes = slashes,
            Setting::Underscores(underscores) => policy.head.underscores = underscores,
            _ => {
                let mut own = RequestOverrides::default();
                self.set_overrides(&mut own);
                *policy = policy.with(&own);
            }
        }
    }

    /// Makes it for a rule, where it is a rule's.
    pub(crate) fn set_overrides(&self, overrides: &mut RequestOverrides) {
        match *self {
            Setting::RequestBody(most) => overrides.max_body = Some(most),
            Setting::StreamIdle(time) => overrides.stream_idle = Some(time),
            Setting::StalledBody(time) => overrides.stalled_body = Some(time),
            Setting::MinRate(rate) => overrides.min_rate = Some(rate),
            _ => {}
        }
    }

    /// Makes it for a rule, or for all requests of a server, where it is a filter. `bucket` names whose limit it is.
    pub(crate) fn set_filters(
        &self,
        filters: &mut Option<Box<RuleFilters>>,
        bucket: impl FnOnce() -> Arc<str>,
    ) {
        match self {
            Setting::RateLimit(limit) => {
                let limit = limit.map(|WrittenLimit { requests, interval, burst, status }| {
                    RateLimit { bucket: bucket(), requests, interval, burst, status }
                });
                filters.get_or_insert_default().rate_limit = Some(limit);
            }
            Setting::ErrorBodies(bodies) => {
                filters.get_or_insert_default().error_bodies = Some(bodies.to_vec());
            }
            _ => {}
        }
    }
}
