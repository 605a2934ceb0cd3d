//! A message in the making: headers are there, body and trailers follow, then it is sent.

use std::collections::VecDeque;

use super::direction::Piece;
use crate::host::Headers;

type Send<'a, T> = Box<dyn FnOnce(Headers, VecDeque<Piece>) -> T + 'a>;

/// A request or a response before it is sent to the filter.
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
/// let exchange = plugin.request([]).header("x-id", "1").body("one ").body("two").trailer("t", "1").send();
/// assert_eq!(exchange.upstream_request().unwrap().text(), "one two");
///
/// let exchange = plugin.request([(":method", "POST")]).body("one ").open();
/// exchange.chunk("two");
/// assert!(!exchange.upstream_request().unwrap().is_complete());
/// exchange.end();
/// assert!(exchange.upstream_request().unwrap().is_complete());
/// # Ok::<(), String>(())
/// ```
#[must_use = "nothing happens before it is sent"]
pub struct Sending<'a, T> {
    headers: Headers,
    body: Vec<Vec<u8>>,
    trailers: Option<Headers>,
    send: Send<'a, T>,
}

impl<'a, T> Sending<'a, T> {
    pub(crate) fn new(headers: Headers, send: Send<'a, T>) -> Self {
        Sending { headers, body: Vec::new(), trailers: None, send }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Adds a body, or one more piece of it: the filter is told of each piece by itself. Empty ones are none.
    pub fn body(mut self, piece: impl Into<Vec<u8>>) -> Self {
        self.body.push(piece.into());
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let trailer = (name.to_ascii_lowercase(), value.as_ref().to_vec());
        self.trailers.get_or_insert_default().push(trailer);
        self
    }

    /// Sends all of it.
    pub fn send(self) -> T {
        (self.send)(self.headers, Piece::of_message(self.body, self.trailers))
    }

    /// Sends what there is, and leaves the end open: more of the body may follow. Trailers are not sent.
    pub fn open(self) -> T {
        (self.send)(self.headers, Piece::of_open_message(self.body))
    }
}

/// Headers with those that no message lacks, first.
pub(crate) fn with_defaults<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    defaults: &[(&str, &str)],
) -> Headers {
    let owned =
        |(name, value): (&str, &str)| (name.to_ascii_lowercase(), value.as_bytes().to_vec());
    let given: Headers = headers.into_iter().map(owned).collect();
    let mut all: Headers = defaults.iter().copied().map(owned).collect();
    all.retain(|(name, _)| !given.iter().any(|(found, _)| found == name));
    all.extend(given);
    all
}
