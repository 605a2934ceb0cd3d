//! Gateway filters as plain Rust structs, compiled to Proxy-Wasm modules that run in Portcullis, Istio and Envoy.
//!
//! What it is *not*: a copy of the ABI's callback traits, and no host. The ABI lives in one private module; a filter sees
//! requests, headers, metrics and properties, and its `?` follows the failure policy of whoever runs it.
//!
//! The main type is [`Filter`]: implement it, put [`macro@filter`] above the implementation, compile to a `cdylib`.
//!
//! ```
//! use portcullis_sdk::prelude::*;
//!
//! struct Hello {
//!     configuration: Settings,
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     greeting: String,
//! }
//!
//! #[portcullis_sdk::filter]
//! impl Filter for Hello {
//!     type Configuration = Settings;
//!     type State = ();
//!
//!     fn new(configuration: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
//!         Ok(Hello { configuration })
//!     }
//!
//!     fn on_response_headers(&self, response: &mut Response, _: &mut ()) -> Result<Verdict, Error> {
//!         response.headers_mut().set("x-hello", &self.configuration.greeting)?;
//!         Ok(Verdict::Continue)
//!     }
//! }
//! ```

#[allow(dead_code)]
mod abi;
mod configuration;
pub mod crypto;
mod error;
mod filter;
mod headers;
#[allow(dead_code, unused_imports, reason = "the calls of the API in the making")]
mod host;
pub mod log;
pub mod metrics;
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
mod packed;
pub mod property;
mod reply;
mod request;
#[doc(hidden)]
pub mod runtime;
pub mod time;

pub use configuration::{ConfigurationError, NoConfiguration};
pub use error::{Error, HostError};
pub use filter::{Filter, Setup, Verdict};
pub use headers::Headers;
pub use portcullis_sdk_macros::filter;
pub use reply::Reply;
pub use request::{Record, Request, Response};

/// What nearly every filter names.
pub mod prelude {
    pub use crate::{
        ConfigurationError, Error, Filter, NoConfiguration, Record, Reply, Request, Response,
        Setup, Verdict,
    };
}
