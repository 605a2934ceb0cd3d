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
//! /// What an operator writes under `pluginConfig`.
//! #[configuration]
//! struct Settings {
//!     /// Said to every client.
//!     greeting: String,
//! }
//!
//! struct Hello {
//!     settings: Settings,
//! }
//!
//! #[filter]
//! impl Filter for Hello {
//!     type Configuration = Settings;
//!
//!     fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
//!         Ok(Hello { settings })
//!     }
//!
//!     async fn response(&self, response: &mut Response, _: &mut ()) -> Result<Flow, Error> {
//!         response.headers_mut().set("x-hello", &self.settings.greeting)?;
//!         Ok(Flow::Continue)
//!     }
//! }
//! ```

extern crate self as portcullis_sdk;

mod abi;
mod arrivals;
mod body;
mod cached;
mod callback_error;
mod calls;
mod chunk;
mod claims;
mod combinators;
mod configuration;
pub mod crypto;
mod error;
mod filter;
mod grpc;
mod headers;
mod hooks;
mod host;
mod id_map;
pub mod log;
mod message;
pub mod metrics;
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
mod packed;
mod place;
pub mod property;
pub mod random;
mod record;
mod reply;
mod request;
mod response;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod schema;
mod shared;
pub mod time;
mod timers;
mod waking;

pub use body::{BodyMode, Buffered, Chunks, ReadMode, Unread};
pub use cached::Cached;
pub use callback_error::Error;
pub use calls::{CallError, CallReply, HttpAnswerFuture, HttpCall, HttpCluster, http};
pub use chunk::Chunk;
pub use claims::Claims;
pub use combinators::{Either, Elapsed, join, join_all, select, timeout};
pub use configuration::{Configuration, ConfigurationError, NoConfiguration};
pub use error::HostError;
pub use filter::{Filter, Flow, Setup};
pub use grpc::{GrpcAnswer, GrpcCall, GrpcCluster, GrpcError, GrpcStream, grpc};
pub use headers::Headers;
pub use portcullis_sdk_macros::{configuration, filter};
pub use record::Record;
pub use reply::Reply;
pub use request::Request;
pub use response::Response;
#[doc(hidden)]
pub use serde;
pub use shared::{Queue, Shared};
pub use timers::{Sleep, sleep};

/// What nearly every filter names.
pub mod prelude {
    pub use crate::metrics::{Counter, Gauge, Histogram};
    pub use crate::{
        Buffered, Cached, CallError, Chunks, ConfigurationError, Either, Error, Filter, Flow,
        NoConfiguration, Record, Reply, Request, Response, Setup, Unread, configuration, filter,
        grpc, http, join, join_all, select, sleep, timeout,
    };
}

/// What the README shows is tested as the documentation is.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
