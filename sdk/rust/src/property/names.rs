//! The properties that hosts agree on, by name. What a host does not have is absent.
//!
//! ```
//! use portcullis_sdk::property::{REQUEST_METHOD, RESPONSE_CODE};
//! # let host = portcullis_sdk::mock::Host::new();
//! # host.set_property("request.method", "GET");
//!
//! assert_eq!(REQUEST_METHOD.read().as_deref(), Some("GET"));
//! assert_eq!(RESPONSE_CODE.read(), None);
//! ```

use std::time::Duration;

use super::Property;

// Names that the configuration gave

/// The plugin's name.
pub const PLUGIN_NAME: Property<String> = Property::new("plugin_name");
/// The plugin's root id: `pluginName` of its object.
pub const PLUGIN_ROOT_ID: Property<String> = Property::new("plugin_root_id");
/// The VM id; empty unless one was given.
pub const PLUGIN_VM_ID: Property<String> = Property::new("plugin_vm_id");
/// The route's name, as older hosts give it; see [`super::route_name`].
pub const ROUTE_NAME: Property<String> = Property::new("route_name");
/// The route's name, as Envoy gives it from version 1.26 on.
pub const XDS_ROUTE_NAME: Property<String> = Property::new("xds\0route_name");
/// The cluster's name, as older hosts give it; see [`super::cluster_name`].
pub const CLUSTER_NAME: Property<String> = Property::new("cluster_name");
/// The cluster's name, as Envoy gives it from version 1.26 on.
pub const XDS_CLUSTER_NAME: Property<String> = Property::new("xds\0cluster_name");
/// 1 for a listener into the mesh, 2 for one out of it, which those of a gateway are.
pub const LISTENER_DIRECTION: Property<i64> = Property::new("listener_direction");
/// The gateway's own id.
pub const NODE_ID: Property<String> = Property::new("node\0id");

// The request

/// The request's method.
pub const REQUEST_METHOD: Property<String> = Property::new("request\0method");
/// `http` or `https`.
pub const REQUEST_SCHEME: Property<String> = Property::new("request\0scheme");
/// The host that was asked for.
pub const REQUEST_HOST: Property<String> = Property::new("request\0host");
/// The request's path with its query.
pub const REQUEST_PATH: Property<String> = Property::new("request\0path");
/// The path without the query.
pub const REQUEST_URL_PATH: Property<String> = Property::new("request\0url_path");
/// The query without its question mark.
pub const REQUEST_QUERY: Property<String> = Property::new("request\0query");
/// `HTTP/1.1`, `HTTP/2` and their like.
pub const REQUEST_PROTOCOL: Property<String> = Property::new("request\0protocol");
/// The value of `referer`.
pub const REQUEST_REFERER: Property<String> = Property::new("request\0referer");
/// The value of `user-agent`.
pub const REQUEST_USER_AGENT: Property<String> = Property::new("request\0useragent");
/// The value of `x-request-id`.
pub const REQUEST_ID: Property<String> = Property::new("request\0id");
/// When the first byte of the request came, since 1970.
pub const REQUEST_TIME: Property<Duration> = Property::new("request\0time");
/// How long the exchange took; known in `log`.
pub const REQUEST_DURATION: Property<Duration> = Property::new("request\0duration");
/// Bytes of the request's body, as announced or received.
pub const REQUEST_SIZE: Property<i64> = Property::new("request\0size");
/// Bytes of the request with its headers.
pub const REQUEST_TOTAL_SIZE: Property<i64> = Property::new("request\0total_size");
/// All headers of the request.
pub const REQUEST_HEADERS: Property<Vec<(String, Vec<u8>)>> = Property::new("request\0headers");

// The response

/// The response's status.
pub const RESPONSE_CODE: Property<i64> = Property::new("response\0code");
/// Why the response has this status, in a word.
pub const RESPONSE_CODE_DETAILS: Property<String> = Property::new("response\0code_details");
/// Envoy's response flags, as bits.
pub const RESPONSE_FLAGS: Property<i64> = Property::new("response\0flags");
/// The status of gRPC, from the headers or the trailers.
pub const RESPONSE_GRPC_STATUS: Property<i64> = Property::new("response\0grpc_status");
/// Bytes of the response's body.
pub const RESPONSE_SIZE: Property<i64> = Property::new("response\0size");
/// Bytes of the response with its headers and trailers.
pub const RESPONSE_TOTAL_SIZE: Property<i64> = Property::new("response\0total_size");
/// All headers of the response.
pub const RESPONSE_HEADERS: Property<Vec<(String, Vec<u8>)>> = Property::new("response\0headers");
/// All trailers of the response.
pub const RESPONSE_TRAILERS: Property<Vec<(String, Vec<u8>)>> = Property::new("response\0trailers");

// The client's connection

/// The client's address with port.
pub const SOURCE_ADDRESS: Property<String> = Property::new("source\0address");
/// The client's port.
pub const SOURCE_PORT: Property<i64> = Property::new("source\0port");
/// The address that the client connected to, with port.
pub const DESTINATION_ADDRESS: Property<String> = Property::new("destination\0address");
/// The port that the client connected to.
pub const DESTINATION_PORT: Property<i64> = Property::new("destination\0port");
/// The connection's number; 64 bits, never given twice.
pub const CONNECTION_ID: Property<i64> = Property::new("connection\0id");
/// Whether the client showed a certificate.
pub const CONNECTION_MTLS: Property<bool> = Property::new("connection\0mtls");
/// The server name that the client asked TLS for.
pub const CONNECTION_SERVER_NAME: Property<String> =
    Property::new("connection\0requested_server_name");
/// `TLSv1.2` or `TLSv1.3`.
pub const CONNECTION_TLS_VERSION: Property<String> = Property::new("connection\0tls_version");
/// The subject of the client's certificate.
pub const CONNECTION_PEER_SUBJECT: Property<String> =
    Property::new("connection\0subject_peer_certificate");
/// The first URI of the client's certificate: its SPIFFE id.
pub const CONNECTION_PEER_URI: Property<String> =
    Property::new("connection\0uri_san_peer_certificate");
/// The first DNS name of the client's certificate.
pub const CONNECTION_PEER_DNS: Property<String> =
    Property::new("connection\0dns_san_peer_certificate");
/// The SHA-256 of the client's certificate, in hexadecimal.
pub const CONNECTION_PEER_DIGEST: Property<String> =
    Property::new("connection\0sha256_peer_certificate_digest");
/// The subject of our certificate.
pub const CONNECTION_LOCAL_SUBJECT: Property<String> =
    Property::new("connection\0subject_local_certificate");
/// The first URI of our certificate.
pub const CONNECTION_LOCAL_URI: Property<String> =
    Property::new("connection\0uri_san_local_certificate");
/// The first DNS name of our certificate.
pub const CONNECTION_LOCAL_DNS: Property<String> =
    Property::new("connection\0dns_san_local_certificate");
/// Why the connection was ended, in a word.
pub const CONNECTION_TERMINATION_DETAILS: Property<String> =
    Property::new("connection\0termination_details");

// The connection to the endpoint

/// The endpoint's address with port.
pub const UPSTREAM_ADDRESS: Property<String> = Property::new("upstream\0address");
/// The endpoint's port.
pub const UPSTREAM_PORT: Property<i64> = Property::new("upstream\0port");
/// Our address towards the endpoint, with port.
pub const UPSTREAM_LOCAL_ADDRESS: Property<String> = Property::new("upstream\0local_address");
/// `TLSv1.2` or `TLSv1.3`.
pub const UPSTREAM_TLS_VERSION: Property<String> = Property::new("upstream\0tls_version");
/// The subject of the endpoint's certificate.
pub const UPSTREAM_PEER_SUBJECT: Property<String> =
    Property::new("upstream\0subject_peer_certificate");
/// The first URI of the endpoint's certificate: its SPIFFE id.
pub const UPSTREAM_PEER_URI: Property<String> = Property::new("upstream\0uri_san_peer_certificate");
/// The first DNS name of the endpoint's certificate.
pub const UPSTREAM_PEER_DNS: Property<String> = Property::new("upstream\0dns_san_peer_certificate");
/// The SHA-256 of the endpoint's certificate, in hexadecimal.
pub const UPSTREAM_PEER_DIGEST: Property<String> =
    Property::new("upstream\0sha256_peer_certificate_digest");
/// Why no secure connection came about.
pub const UPSTREAM_FAILURE_REASON: Property<String> =
    Property::new("upstream\0transport_failure_reason");
