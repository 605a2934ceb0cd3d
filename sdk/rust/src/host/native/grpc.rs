//! Outgoing gRPC calls at the mock host, and the answers that a test scripts for them.

use std::time::Duration;

use super::call::first_text;
use super::stream::Headers;

/// One message that the filter sent: a unary call, or one of a stream.
///
/// ```
/// use portcullis_sdk::mock::{GrpcAnswer, GrpcCall, Host};
///
/// # let host = Host::new();
/// host.answer_grpc("auth", |call: &GrpcCall| match (call.service(), call.method()) {
///     ("shop.Auth", "Check") => GrpcAnswer::message(call.message()),
///     _ => GrpcAnswer::failure(12, "unimplemented"),
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) metadata: Headers,
    pub(crate) message: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
}

impl GrpcCall {
    /// The cluster that it was sent to.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The full name of the service: `grpc.health.v1.Health`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The first value of a metadata entry; None when it is no text.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        first_text(&self.metadata, name)
    }

    /// The message's bytes.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// How long a unary call would wait; None for as long as it takes.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// What a scripted gRPC service answers to one message.
///
/// ```
/// use portcullis_sdk::mock::{GrpcAnswer, Host};
///
/// let host = Host::new();
/// host.answer_grpc("auth", |_| GrpcAnswer::message("yes"));
/// host.answer_grpc("down", |_| GrpcAnswer::failure(14, "unavailable"));
/// host.answer_grpc("chat", |_| GrpcAnswer::message("one").then("two").close(0, ""));
/// ```
#[derive(Clone, Debug, Default)]
pub struct GrpcAnswer {
    pub(crate) initial_metadata: Headers,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) trailing_metadata: Headers,
    pub(crate) closed: Option<(u32, String)>,
    pub(crate) is_silent: bool,
    pub(crate) after: Duration,
}

impl GrpcAnswer {
    /// One message, at once. On a stream more may follow, until it is [closed](GrpcAnswer::close).
    pub fn message(message: impl Into<Vec<u8>>) -> Self {
        GrpcAnswer { messages: vec![message.into()], ..GrpcAnswer::default() }
    }

    /// A gRPC status other than 0 and its message.
    pub fn failure(status: u32, message: &str) -> Self {
        GrpcAnswer::default().close(status, message)
    }

    /// Nothing: a stream stays open, and only its timeout ends a unary call.
    pub fn silence() -> Self {
        GrpcAnswer { is_silent: true, ..GrpcAnswer::default() }
    }

    /// Adds a message, of a stream.
    pub fn then(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.messages.push(message.into());
        self
    }

    /// Adds metadata that comes before the messages of a stream.
    pub fn initial_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.initial_metadata.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Adds metadata that comes after the messages of a stream.
    pub fn trailing_metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailing_metadata.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Ends the stream after the messages.
    pub fn close(mut self, status: u32, message: &str) -> Self {
        self.closed = Some((status, message.to_owned()));
        self
    }

    /// Comes so much later, in the host's time.
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}
