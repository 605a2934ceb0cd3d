//! What the host knows about the exchange, as typed properties.
//!
//! ```
//! use portcullis_sdk::property::{self, Property};
//!
//! const TENANT: Property<String> = Property::new("metadata\0filter_metadata\0tenant\0name");
//! # portcullis_sdk::mock::Host::new();
//! let route = property::ROUTE_NAME.read().unwrap_or_default();
//! let tenant = TENANT.read();
//! # assert_eq!(tenant, None);
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use crate::{HostError, host};

/// The route's name, where it has one.
pub const ROUTE_NAME: Property<String> = Property::new("route_name");
/// The route's name, as Envoy gives it from version 1.26 on.
pub const XDS_ROUTE_NAME: Property<String> = Property::new("xds\0route_name");
/// The cluster's name.
pub const CLUSTER_NAME: Property<String> = Property::new("cluster_name");
/// The cluster's name, as Envoy gives it from version 1.26 on.
pub const XDS_CLUSTER_NAME: Property<String> = Property::new("xds\0cluster_name");
/// The request's method.
pub const REQUEST_METHOD: Property<String> = Property::new("request\0method");
/// The request's path with its query.
pub const REQUEST_PATH: Property<String> = Property::new("request\0path");
/// The path without the query.
pub const REQUEST_URL_PATH: Property<String> = Property::new("request\0url_path");
/// The host that was asked for.
pub const REQUEST_HOST: Property<String> = Property::new("request\0host");
/// The value of `x-request-id`.
pub const REQUEST_ID: Property<String> = Property::new("request\0id");
/// When the first byte of the request came, since 1970.
pub const REQUEST_TIME: Property<Duration> = Property::new("request\0time");
/// How long the exchange took; known in `on_log`.
pub const REQUEST_DURATION: Property<Duration> = Property::new("request\0duration");
/// Bytes of the request's body.
pub const REQUEST_SIZE: Property<i64> = Property::new("request\0size");
/// The response's status.
pub const RESPONSE_CODE: Property<i64> = Property::new("response\0code");
/// Why the response has this status, in a word.
pub const RESPONSE_CODE_DETAILS: Property<String> = Property::new("response\0code_details");
/// Bytes of the response's body.
pub const RESPONSE_SIZE: Property<i64> = Property::new("response\0size");
/// The client's address with port.
pub const SOURCE_ADDRESS: Property<String> = Property::new("source\0address");
/// The address that the client connected to, with port.
pub const DESTINATION_ADDRESS: Property<String> = Property::new("destination\0address");
/// The endpoint's address with port.
pub const UPSTREAM_ADDRESS: Property<String> = Property::new("upstream\0address");
/// Whether the client showed a certificate.
pub const CONNECTION_MTLS: Property<bool> = Property::new("connection\0mtls");
/// The plugin's name.
pub const PLUGIN_NAME: Property<String> = Property::new("plugin_name");

/// A property of a known type, by its path with the parts joined by NUL.
#[derive(Debug)]
pub struct Property<T> {
    path: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: FromProperty> Property<T> {
    /// A property; the type is the filter's claim about what the host gives.
    pub const fn new(path: &'static str) -> Self {
        Property { path, value: PhantomData }
    }

    /// Its present value; None when the host has none, or one of another type.
    pub fn read(&self) -> Option<T> {
        T::from_property(host::property(self.path).ok()??)
    }
}

/// Writes a value that access logs (`%FILTER_STATE(wasm.NAME:PLAIN)%`) and later plugins can read.
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
    host::set_property(name, value.as_ref())
}

/// A type that properties come in.
pub trait FromProperty: Sized {
    /// Reads the host's bytes; None when they are of another type.
    fn from_property(bytes: Vec<u8>) -> Option<Self>;
}

impl FromProperty for Vec<u8> {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        Some(bytes)
    }
}

impl FromProperty for String {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        String::from_utf8(bytes).ok()
    }
}

impl FromProperty for i64 {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        Some(i64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl FromProperty for bool {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        match bytes.as_slice() {
            [value] => Some(*value != 0),
            _ => None,
        }
    }
}

/// Durations and times are nanoseconds.
impl FromProperty for Duration {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        let nanoseconds = u64::try_from(i64::from_property(bytes)?).ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }
}
