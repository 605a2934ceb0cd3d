//! From an answer to the response that goes downstream.

use http::Response;
use portcullis_message::{Body, Reply};
use portcullis_upstream::UpstreamBody;

use crate::flight::Flight;
use crate::native_filters::show_own_body;
use crate::reply_head::{Origin, take_health, take_own_reply, take_reply, take_upstream};
use crate::response_filter::{Responded, filter_reply};
use crate::{ProxyError, reply_for};

/// Runs the response steps and makes the response. The record travels with its body.
pub(crate) fn respond(mut flight: Flight, answer: Result<Answer, ProxyError>) -> Responded {
    let source = match answer {
        Ok(Answer::Upstream(response)) => take_upstream(&mut flight, response),
        Ok(Answer::Reply(reply)) => take_reply(&mut flight, reply, Origin::Rule),
        Ok(Answer::Health(reply)) => take_health(&mut flight, *reply),
        Err(error) => {
            let mut reply = reply_for(&error, &mut flight.exchange);
            show_own_body(&flight, &mut reply);
            take_own_reply(&mut flight, reply)
        }
    };
    filter_reply(flight, source)
}

/// Who answered a request.
pub(crate) enum Answer {
    /// The gateway itself: a rule, a listener or a plugin.
    Reply(Reply),
    /// The gateway, asked after its own health.
    Health(Box<Response<Body>>),
    /// An upstream.
    Upstream(Response<UpstreamBody>),
}
