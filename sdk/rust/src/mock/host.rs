//! The mock host of one thread, as the test sees it.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::clock;
use crate::HostError;
use crate::abi::Level;
use crate::host::{Answer, Call, GrpcAnswer, GrpcCall, Metrics, reset, with_state};

/// Where hosts leave a verified token.
const JWT_METADATA: &str = "envoy.filters.http.jwt_authn";

/// This thread's mock host: what the filter sees of the world, and what it left there.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis_sdk::mock::Host;
/// use portcullis_sdk::{log, property, time};
///
/// let host = Host::new();
/// host.set_now(Duration::from_secs(1_700_000_000));
/// host.advance(Duration::from_secs(5));
/// assert_eq!(time::now(), Duration::from_secs(1_700_000_005));
///
/// host.set_property("source.address", "192.0.2.1:4711");
/// assert_eq!(property::SOURCE_ADDRESS.read().as_deref(), Some("192.0.2.1:4711"));
/// host.set_property("request.size", 512_i64.to_le_bytes());
/// assert_eq!(property::REQUEST_SIZE.read(), Some(512));
///
/// portcullis_sdk::warn!("{} left", 3);
/// assert_eq!(host.log(), [(log::Level::Warn, "3 left".to_owned())]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Host {
    /// A host in its first state: no properties, no metrics, no services, an empty log, 1970.
    #[allow(
        clippy::new_without_default,
        reason = "it resets the thread's host, which a default should not do"
    )]
    pub fn new() -> Self {
        clock::reset();
        reset();
        Host
    }

    /// Sets the clock; for calls and ticks under way no time has passed. Backwards is possible.
    pub fn set_now(&self, since_1970: Duration) {
        with_state(|state| {
            let before = std::mem::replace(&mut state.now, since_1970);
            state.events.shift(before, since_1970);
        });
    }

    /// Lets time pass: ticks, timeouts and answers that are due happen in their order.
    ///
    /// # Panics
    /// When events follow each other without end at one moment: a filter that calls in a loop and never sleeps.
    pub fn advance(&self, by: Duration) {
        clock::pass(by);
    }

    /// Scripts a service: what is called at this cluster is answered so. Clusters without a script are unknown to the
    /// host, which refuses calls to them.
    pub fn answer(&self, cluster: &str, service: impl Fn(&Call) -> Answer + 'static) {
        with_state(|state| state.services.insert(cluster.to_owned(), Rc::new(service)));
    }

    /// Scripts a gRPC service: each message sent to this cluster is answered so.
    pub fn answer_grpc(&self, cluster: &str, service: impl Fn(&GrpcCall) -> GrpcAnswer + 'static) {
        with_state(|state| state.grpc_services.insert(cluster.to_owned(), Rc::new(service)));
    }

    /// The calls made so far, in their order.
    pub fn calls(&self) -> Vec<Call> {
        with_state(|state| state.calls.clone())
    }

    /// The gRPC messages sent so far, in their order.
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        with_state(|state| state.grpc_calls.clone())
    }

    /// Sets a property, its path joined by dots; the bytes as the ABI has them (text as it is, numbers as eight bytes).
    /// What is told of a request by its headers (`request.path`) needs not be set.
    pub fn set_property(&self, path: &str, value: impl Into<Vec<u8>>) {
        with_state(|state| state.properties.insert(path.to_owned(), value.into()));
    }

    /// A property as text, the filter's own ones included.
    pub fn property(&self, path: &str) -> Option<String> {
        with_state(|state| {
            state.properties.get(path).map(|value| String::from_utf8_lossy(value).into_owned())
        })
    }

    /// Lets the requests carry a token that the gateway's own authentication has verified: its claims as JSON.
    ///
    /// # Panics
    /// When this is no JSON object.
    #[allow(clippy::panic, reason = "for tests alone")]
    pub fn set_claims(&self, json: &str) {
        let claims: serde_json::Map<String, Value> = match serde_json::from_str(json) {
            Ok(claims) => claims,
            Err(error) => panic!("the claims are no JSON object: {error}"),
        };
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
        let claims = Value::Object(claims);
        for key in ["payload", &issuer] {
            self.set_shown(&format!("metadata.filter_metadata.{JWT_METADATA}.{key}"), &claims);
        }
    }

    /// As Portcullis shows a claim: a text as it is, anything else as JSON.
    fn set_shown(&self, path: &str, claim: &Value) {
        match claim {
            Value::String(text) => self.set_property(path, text.as_str()),
            other => self.set_property(path, other.to_string()),
        }
        for (name, inner) in claim.as_object().into_iter().flatten() {
            self.set_shown(&format!("{path}.{name}"), inner);
        }
    }

    /// Offers a foreign function.
    pub fn offer_function(
        &self,
        name: &str,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, HostError> + 'static,
    ) {
        with_state(|state| state.functions.insert(name.to_owned(), Rc::new(function)));
    }

    /// Begins another series of random bytes; every series is the same in each run.
    pub fn set_seed(&self, seed: u64) {
        with_state(|state| state.seed = seed);
    }

    /// Drops lines below a level, as a real host does; all are kept at first.
    pub fn set_log_level(&self, level: Level) {
        with_state(|state| state.log_level = level);
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<(Level, String)> {
        with_state(|state| state.log.clone())
    }

    /// The metrics as they now are.
    pub fn metrics(&self) -> Metrics {
        with_state(|state| state.metrics.clone())
    }
}
