//! The reserved health paths of the traffic ports.

use http::Response;
use portcullis_exchange::Protocol;
use portcullis_message::{Body, Health, HealthPath};

use crate::DrainPhase;
use crate::flight::Flight;

/// The reply to a load balancer that asks after the gateway's own health; `None` for every other request. No rule
/// can take these paths, no plugin or redirect sees them, and neither log nor metrics count them: they would drown
/// the traffic of a quiet gateway.
pub(crate) fn answer_health(flight: &mut Flight) -> Option<Box<Response<Body>>> {
    let request = &flight.exchange.request;
    let path = HealthPath::of(request.path.path())?;
    if path.is_grpc() && !(request.protocol == Protocol::Http2 && request.is_grpc()) {
        return None;
    }
    // Whoever is served here is served by a published snapshot, so there is no third state.
    let health = match flight.worker.settings.drain.phase() {
        DrainPhase::Serving | DrainPhase::HandedOver => Health::Serving,
        DrainPhase::Draining | DrainPhase::Cutting(_) => Health::NotServing("DRAINING"),
    };
    let reply = path.reply(&request.method, health);
    flight.keep_off_the_record();
    Some(Box::new(reply))
}
