//! A header map of the host: read lazily, multi-valued, changed in place.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::HostError;
use crate::abi::MapKind;
use crate::host;
use crate::packed::Packed;

/// The headers of a request or a response. Names are matched in any case; `:path` and its like are among them.
///
/// [`first`](Headers::first) asks the host for one value. [`all`](Headers::all) and [`iter`](Headers::iter) fetch the
/// whole map in one packed call, once, and borrow from it until the next change.
///
/// ```
/// use portcullis_sdk::prelude::*;
///
/// #[derive(Default)]
/// struct Tidy;
///
/// #[filter]
/// impl Filter for Tidy {
///     async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
///         let is_chrome = request.headers().first_text("user-agent").is_some_and(|agent| agent.contains("Chrome"));
///         let proxies = request.headers().all("via").count();
///         let size: usize = request.headers().iter().map(|(name, value)| name.len() + value.len()).sum();
///         let headers = request.headers_mut();
///         headers.remove("via")?;
///         headers.set("x-browser", if is_chrome { "chrome" } else { "other" })?;
///         headers.append("x-facts", format!("{proxies} proxies, {size} bytes"))?;
///         Ok(Flow::Continue)
///     }
/// }
/// # use portcullis_sdk::mock::{Host, Plugin};
/// # Host::new();
/// # let plugin = Plugin::<Tidy>::start("").unwrap();
/// # let exchange = plugin.request([("via", "a"), ("via", "b"), ("user-agent", "Chrome")]).send();
/// # let request = exchange.upstream_request().unwrap();
/// # assert_eq!((request.header("via"), request.header("x-browser")), (None, Some("chrome")));
/// # assert!(request.header("x-facts").unwrap().starts_with("2 proxies"));
/// ```
#[derive(Debug)]
pub struct Headers {
    map: MapKind,
    packed: OnceCell<Packed>,
    sealed: bool,
}

impl Headers {
    pub(crate) fn new(map: MapKind) -> Self {
        Headers { map, packed: OnceCell::new(), sealed: false }
    }

    /// The first value of a header; None when there is none.
    pub fn first(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.packed.get() {
            Some(packed) => packed.first(name).map(Cow::Borrowed),
            None => host::header_value(self.map, name).ok().flatten().map(Cow::Owned),
        }
    }

    /// The first value as text; None when there is none or it is not UTF-8.
    pub fn first_text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.first(name)? {
            Cow::Borrowed(value) => std::str::from_utf8(value).ok().map(Cow::Borrowed),
            Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
        }
    }

    /// All values of a header, in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.packed().values(name)
    }

    /// All headers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.packed().iter()
    }

    /// Replaces all values of a header by one.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.change()?;
        host::replace_header(self.map, name, value.as_ref())
    }

    /// Adds a value, beside those there are.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.change()?;
        host::add_header(self.map, name, value.as_ref())
    }

    /// Removes all values of a header; it need not exist.
    pub fn remove(&mut self, name: &str) -> Result<(), HostError> {
        self.change()?;
        host::remove_header(self.map, name)
    }

    /// The message goes on: it stays readable as it now is, and cannot be changed any more.
    pub(crate) fn seal(&mut self) {
        self.packed();
        self.sealed = true;
    }

    fn change(&mut self) -> Result<(), HostError> {
        if self.sealed {
            return Err(HostError::new("a change of headers", HostError::GONE_ON));
        }
        self.packed.take();
        Ok(())
    }

    /// A map that the host does not give is empty.
    fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| Packed(host::header_pairs(self.map).unwrap_or_default()))
    }
}
