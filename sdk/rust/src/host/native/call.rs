//! Outgoing calls at the mock host, and the answers that a test scripts for them.

use std::time::Duration;

use super::stream::Headers;

/// A request that the filter sent to another service.
///
/// ```
/// use portcullis_sdk::mock::{Answer, Call, Host};
///
/// # let host = Host::new();
/// host.answer("users", |call: &Call| match (call.method(), call.path(), call.header("x-key")) {
///     ("GET", "/whoami", Some("secret")) => Answer::new(200).body("ann"),
///     ("POST", _, _) => Answer::new(201).body(call.body()),
///     _ => Answer::new(403),
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(crate) cluster: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    /// The cluster that it was sent to.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The method; empty when it has none.
    pub fn method(&self) -> &str {
        self.header(":method").unwrap_or_default()
    }

    /// The path with its query; empty when it has none.
    pub fn path(&self) -> &str {
        self.header(":path").unwrap_or_default()
    }

    /// The first value of a header, `:authority` and its like included; None when it is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }

    /// The first value of a trailer; None when it is no text.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        first_text(&self.trailers, name)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// How long the filter would wait; None for as long as it takes.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// What a scripted service answers.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis_sdk::mock::{Answer, Host};
///
/// let host = Host::new();
/// host.answer("users", |_| Answer::new(200).header("x-user", "ann").body("{}"));
/// host.answer("slow", |_| Answer::new(200).after(Duration::from_secs(3)));
/// host.answer("down", |_| Answer::failure(503));
/// host.answer("lost", |_| Answer::reset());
/// host.answer("hanging", |_| Answer::silence());
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) kind: AnswerKind,
    pub(crate) after: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum AnswerKind {
    Response(Delivered),
    /// Nothing that could be called a response: the older hosts' failure.
    Nothing,
    Silence,
}

/// What the filter reads while it is told of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
}

impl Answer {
    /// A response with a status, without further headers and body, at once.
    pub fn new(status: u16) -> Self {
        let headers = vec![(":status".to_owned(), status.to_string().into_bytes())];
        let response = Delivered { headers, ..Delivered::default() };
        Answer { kind: AnswerKind::Response(response), after: Duration::ZERO }
    }

    /// What the gateway makes of a service that it cannot reach (503) or that is too slow (504): a response of its own.
    pub fn failure(status: u16) -> Self {
        let text = match status {
            504 => "upstream request timeout",
            _ => "upstream connect error or disconnect/reset before headers",
        };
        Answer::new(status)
            .header("content-length", text.len().to_string())
            .header("content-type", "text/plain")
            .body(text)
    }

    /// The call ends without a response, as hosts tell it that have none to give.
    pub fn reset() -> Self {
        Answer { kind: AnswerKind::Nothing, after: Duration::ZERO }
    }

    /// The service never answers: only the call's timeout ends it.
    pub fn silence() -> Self {
        Answer { kind: AnswerKind::Silence, after: Duration::ZERO }
    }

    /// Adds a header; to a response alone.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let AnswerKind::Response(response) = &mut self.kind {
            response.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        }
        self
    }

    /// Sets the body; of a response alone.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let AnswerKind::Response(response) = &mut self.kind {
            response.body = body.into();
        }
        self
    }

    /// Adds a trailer; to a response alone.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let AnswerKind::Response(response) = &mut self.kind {
            response.trailers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        }
        self
    }

    /// Comes so much later, in the host's time.
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// When it comes and what then, for a call that waits no longer than its timeout; None for never.
    pub(crate) fn within(self, timeout: Option<Duration>) -> Option<(Duration, Delivered)> {
        let in_time = timeout.is_none_or(|timeout| self.after < timeout);
        match self.kind {
            AnswerKind::Response(response) if in_time => Some((self.after, response)),
            AnswerKind::Nothing if in_time => Some((self.after, Delivered::default())),
            _ => {
                let (_, too_late) = Answer::failure(504).within(None)?;
                Some((timeout?, too_late))
            }
        }
    }
}

pub(crate) fn first_text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}
