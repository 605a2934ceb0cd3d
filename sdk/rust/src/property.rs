//! What the host knows about the exchange, as typed properties.
//!
//! The names are Envoy's. Hosts give what they have: a property may be absent at any
//! time, and what is known only later (the response, the upstream) is absent before.
//!
//! ```
//! use portcullis_sdk::property::{self, Property};
//!
//! const TENANT: Property<String> = Property::new("metadata\0filter_metadata\0tenant\0name");
//! # let host = portcullis_sdk::mock::Host::new();
//! # host.set_property("source.address", "192.0.2.1:4711");
//! assert_eq!(property::SOURCE_ADDRESS.read().as_deref(), Some("192.0.2.1:4711"));
//! assert_eq!(TENANT.read(), None);
//! ```

mod names;

pub use names::*;

use std::marker::PhantomData;
use std::time::Duration;

use crate::packed::Packed;
use crate::{HostError, host};

/// A property of a known type, by its path with the parts joined by NUL.
#[derive(Debug)]
pub struct Property<T> {
    path: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: FromProperty> Property<T> {
    /// A property; the type is the filter's claim about what the host gives.
    ///
    /// ```
    /// # use portcullis_sdk::property::Property;
    /// const NODE_NAME: Property<String> = Property::new("node\0metadata\0NAME");
    /// ```
    pub const fn new(path: &'static str) -> Self {
        Property { path, value: PhantomData }
    }

    /// Its present value; None when the host has none, or one of another type.
    ///
    /// ```
    /// use portcullis_sdk::property::CONNECTION_MTLS;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// # host.set_property("connection.mtls", [1]);
    ///
    /// assert_eq!(CONNECTION_MTLS.read(), Some(true));
    /// ```
    pub fn read(&self) -> Option<T> {
        T::from_property(host::property(self.path).ok()??)
    }
}

/// The property at a path that is made at run time.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
/// # host.set_property("node.metadata.MESH_ID", "mesh1");
///
/// let mesh: Option<String> = property::read(&["node", "metadata", "MESH_ID"]);
/// assert_eq!(mesh.as_deref(), Some("mesh1"));
/// ```
pub fn read<T: FromProperty>(path: &[&str]) -> Option<T> {
    T::from_property(host::property(&path.join("\0")).ok()??)
}

/// The route's name, by whichever of its two paths the host knows it.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
/// # host.set_property("xds.route_name", "reviews");
///
/// assert_eq!(property::route_name().as_deref(), Some("reviews"));
/// ```
pub fn route_name() -> Option<String> {
    XDS_ROUTE_NAME.read().or_else(|| ROUTE_NAME.read())
}

/// The cluster's name, by whichever of its two paths the host knows it.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
/// # host.set_property("cluster_name", "outbound|80||reviews");
///
/// assert_eq!(property::cluster_name().as_deref(), Some("outbound|80||reviews"));
/// ```
pub fn cluster_name() -> Option<String> {
    XDS_CLUSTER_NAME.read().or_else(|| CLUSTER_NAME.read())
}

/// What the gateway was told of itself: `NAME`, `NAMESPACE`, `WORKLOAD_NAME`, `MESH_ID` and their like.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
/// # host.set_property("node.metadata.NAMESPACE", "shop");
///
/// assert_eq!(property::node_metadata("NAMESPACE").as_deref(), Some("shop"));
/// ```
pub fn node_metadata(name: &str) -> Option<String> {
    read(&["node", "metadata", name])
}

/// What another filter left under its name: text, as every host gives it alike.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
/// # host.set_property("metadata.filter_metadata.envoy.lb.tier", "gold");
///
/// assert_eq!(property::filter_metadata("envoy.lb", "tier").as_deref(), Some("gold"));
/// ```
pub fn filter_metadata(filter: &str, name: &str) -> Option<String> {
    read(&["metadata", "filter_metadata", filter, name])
}

/// Writes a value that access logs (`%FILTER_STATE(wasm.NAME:PLAIN)%`) and later plugins can read.
///
/// ```
/// use portcullis_sdk::property;
/// # let host = portcullis_sdk::mock::Host::new();
///
/// property::set("tenant", "acme")?;
/// assert_eq!(property::read::<String>(&["tenant"]).as_deref(), Some("acme"));
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
    host::set_property(name, value.as_ref())
}

/// A type that properties come in. Integers are eight bytes in little-endian order, texts are as they are.
///
/// ```
/// use portcullis_sdk::property::FromProperty;
///
/// assert_eq!(i64::from_property(vec![200, 0, 0, 0, 0, 0, 0, 0]), Some(200));
/// assert_eq!(i64::from_property(b"200".to_vec()), None);
/// ```
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

impl FromProperty for u64 {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl FromProperty for f64 {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        Some(f64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Maps, of which the keys are text; what is no such map reads as an empty one.
impl FromProperty for Vec<(String, Vec<u8>)> {
    fn from_property(bytes: Vec<u8>) -> Option<Self> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Some(Packed(bytes).iter().map(|(name, value)| (text(name), value.to_vec())).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::Host;

    #[test]
    fn bytes_of_another_type_are_no_value() {
        assert_eq!(i64::from_property(vec![1; 7]), None);
        assert_eq!(u64::from_property(vec![255; 8]), Some(u64::MAX));
        assert_eq!(f64::from_property(1.5_f64.to_le_bytes().to_vec()), Some(1.5));
        assert_eq!(bool::from_property(vec![]), None);
        assert_eq!(bool::from_property(vec![0]), Some(false));
        assert_eq!(Duration::from_property((-1_i64).to_le_bytes().to_vec()), None);
        assert_eq!(String::from_property(vec![0xff]), None);
        let pairs = Packed::pack(&[("a", "1"), ("b", "")]);
        let map = Vec::<(String, Vec<u8>)>::from_property(pairs).unwrap();
        assert_eq!(map, [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), vec![])]);
    }

    #[test]
    fn the_newer_path_of_a_name_wins() {
        let host = Host::new();
        assert_eq!(route_name(), None);
        host.set_property("route_name", "old");
        assert_eq!(route_name().as_deref(), Some("old"));
        host.set_property("xds.route_name", "new");
        assert_eq!(route_name().as_deref(), Some("new"));
    }
}
