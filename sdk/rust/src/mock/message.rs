//! A message as the other side received it.

use crate::host::{Headers, first_text};

/// A request as the upstream received it, or a response as the client did; it may still be under way.
///
/// ```
/// # use portcullis_sdk::prelude::*;
/// # #[derive(Default)]
/// # struct Pass;
/// # #[filter]
/// # impl Filter for Pass {}
/// use portcullis_sdk::mock::{Host, Plugin};
///
/// # Host::new();
/// let plugin = Plugin::<Pass>::start("")?;
/// let exchange = plugin.request([("x-id", "1"), ("x-id", "2")]).body("hello").send();
/// let request = exchange.upstream_request().unwrap();
/// assert_eq!((request.header(":path"), request.all("X-Id")), (Some("/"), vec!["1", "2"]));
/// assert_eq!((request.body(), request.text().as_str()), (&b"hello"[..], "hello"));
/// assert_eq!((request.trailer("t"), request.is_complete()), (None, true));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    pub(crate) is_complete: bool,
}

impl Message {
    /// The first value of a header, `:path` and its like included; None when it is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        first_text(&self.headers, name)
    }

    /// All values of a header that are text, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.filter_map(|(_, value)| std::str::from_utf8(value).ok()).collect()
    }

    /// All headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// A response's status; None where it is no number, as in a request.
    pub fn status(&self) -> Option<u16> {
        self.header(":status")?.parse().ok()
    }

    /// The body so far.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body so far as text; what is no UTF-8 is shown as U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a trailer; None when it is no text.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        first_text(&self.trailers, name)
    }

    /// Whether all of it has arrived.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}
