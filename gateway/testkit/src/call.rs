//! Requests as tests write them, and replies as tests read them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::body::TestBody;

/// A request.
#[derive(Debug)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: TestBody,
}

impl Call {
    /// A request of any method. The path goes out as it is, query included.
    pub fn new(method: &str, host: &str, path: &str) -> Self {
        Call {
            method: method.parse().unwrap(),
            host: host.to_owned(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: TestBody::empty(),
        }
    }

    /// A GET.
    pub fn get(host: &str, path: &str) -> Self {
        Call::new("GET", host, path)
    }

    /// A POST with a body.
    pub fn post(host: &str, path: &str, body: impl Into<TestBody>) -> Self {
        Call::new("POST", host, path).body(body)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<TestBody>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a trailer and announces it.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        let mut trailers = self.body.trailers().cloned().unwrap_or_default();
        trailers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self.body = self.body.with_trailers(trailers);
        self.header("trailer", name)
    }

    /// Says that trailers are welcome in the reply.
    #[must_use]
    pub fn accept_trailers(self) -> Self {
        self.header("te", "trailers")
    }
}

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status code.
    pub status: StatusCode,
    /// The protocol that it came by.
    pub version: Version,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    /// A header field's first value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON, such as what a fake upstream echoes.
    ///
    /// # Panics
    /// When it is none; the whole reply is in the message.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The name of the fake upstream that replied, empty where none did.
    pub fn upstream(&self) -> &str {
        self.header("x-upstream")
    }
}
