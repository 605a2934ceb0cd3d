//! The native filters of the chosen rule, between the plugins and the rule's action: rate limit, CORS, fault.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::HeaderMap;
use portcullis_exchange::ResponseFlag;
use portcullis_filters::{ALL_PARTS, Aborted, Bucket, CorsPolicy, Fault, show_error_body};
use portcullis_message::Reply;
use portcullis_model::RuleFilters;
use portcullis_snapshot::SocketTable;
use portcullis_upstream::draw_below;
use tokio::time::sleep;

use crate::ProxyError;
use crate::flight::Flight;
use crate::grpc::asks_by_grpc;
use crate::in_time::in_time;
use crate::outbound::hold_to_chosen_policy;
use crate::refusal::Refusal;
use crate::stop::Stop;

/// How far a request came.
pub(crate) enum Passage {
    /// Past all filters.
    All,
    /// A filter answers it as the rule wants.
    Reply(Reply),
    /// It has to [wait](sit_out) for so long, and is not past the last filter yet.
    Delayed(Duration),
}

/// Has a request pass the filters of its rule, and what its listener has of the same. Most have none.
pub(crate) fn pass_filters(
    flight: &mut Flight,
    table: &SocketTable,
) -> Result<Passage, ProxyError> {
    let rule = flight.choice.rule(table);
    let filters = rule.and_then(|rule| rule.rule.filters.as_deref());
    let listener = flight.choice.listener(table);
    if filters.is_none() && listener.is_none_or(|listener| listener.bucket.is_none()) {
        return Ok(Passage::All);
    }
    let leaves_open = filters.is_none_or(|filters| filters.rate_limit.is_none());
    let bucket = match rule.filter(|_| !leaves_open) {
        Some(rule) => rule.bucket.as_deref(),
        None => listener.and_then(|listener| listener.bucket.as_deref()),
    };
    bucket.map_or(Ok(()), check_rate)?;
    let Some(filters) = filters else { return Ok(Passage::All) };
    if let Some(cors) = &filters.cors
        && let Some(reply) = answer_preflight(flight, cors)
    {
        return Ok(Passage::Reply(reply));
    }
    match &filters.fault {
        Some(fault) => pass_fault(flight, fault),
        None => Ok(Passage::All),
    }
}

/// Has a delayed request wait for its time, and pass what comes behind that. A client that leaves ends it.
pub(crate) async fn sit_out(flight: &mut Flight, delay: Duration) -> Result<(), Stop> {
    hold_to_chosen_policy(flight);
    let progress = flight.progress.clone();
    let waiting = pin!(async {
        sleep(delay).await;
        Ok::<(), Stop>(())
    });
    in_time(&progress, None, waiting).await?;
    let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
    let filters = filters_of(flight, &table);
    filters.and_then(|filters| filters.fault.as_ref()).map_or(Ok(()), check_abort)?;
    Ok(())
}

/// What a client is shown in a reply of the gateway's own: the body written for its status by the rule, else by the
/// listener.
pub(crate) fn show_own_body(flight: &Flight, reply: &mut Reply) {
    let Some(table) = &flight.table else { return };
    if asks_by_grpc(&flight.exchange) {
        return;
    }
    let listener = flight.choice.listener(table);
    let of_listener = listener.and_then(|listener| listener.settings.filters.as_deref());
    let all = [filters_of(flight, table), of_listener].into_iter().flatten();
    if let Some(bodies) = all.filter_map(|filters| filters.error_bodies.as_deref()).next() {
        show_error_body(bodies, reply);
    }
}

/// Says in a reply, whoever made it, what the request's origin may see of it.
pub(crate) fn show_to_origin(flight: &Flight, reply: &mut HeaderMap) {
    let Some(table) = &flight.table else { return };
    let Some(filters) = filters_of(flight, table) else { return };
    let Some(cors) = &filters.cors else { return };
    // The head may be on its way to the upstream; one that never came here still has its fields.
    let latched = flight.allowed_origin.as_deref();
    let origin = latched.or_else(|| cors.allowed_origin(&flight.exchange.request.headers));
    if let Some(origin) = origin {
        cors.show(origin.clone(), reply);
    }
}

fn filters_of<'t>(flight: &Flight, table: &'t SocketTable) -> Option<&'t RuleFilters> {
    flight.choice.rule(table)?.rule.filters.as_deref()
}

fn check_rate(bucket: &Bucket) -> Result<(), ProxyError> {
    bucket.take(Instant::now()).map_err(|wait| {
        ProxyError::Refused(Box::new(Refusal {
            reply: bucket.refusal(wait),
            grpc_status: None,
            flag: Some(ResponseFlag::RateLimited),
            details: "local_rate_limited".into(),
        }))
    })
}

fn answer_preflight(flight: &mut Flight, cors: &CorsPolicy) -> Option<Reply> {
    let request = &flight.exchange.request;
    let reply = cors.answer(&request.method, &request.headers);
    if reply.is_some() {
        flight.exchange.code_details = "cors_response".into();
    } else {
        flight.allowed_origin = cors.allowed_origin(&request.headers).cloned().map(Box::new);
    }
    reply
}

fn pass_fault(flight: &mut Flight, fault: &Fault) -> Result<Passage, ProxyError> {
    if let Some(delay) = fault.delay(draw) {
        flight.exchange.flags.set(ResponseFlag::DelayInjected);
        return Ok(Passage::Delayed(delay));
    }
    check_abort(fault).map(|()| Passage::All)
}

fn check_abort(fault: &Fault) -> Result<(), ProxyError> {
    let Some(Aborted { reply, grpc_status }) = fault.abort(draw) else { return Ok(()) };
    Err(ProxyError::Refused(Box::new(Refusal {
        reply,
        grpc_status,
        flag: Some(ResponseFlag::FaultInjected),
        details: "fault_filter_abort".into(),
    })))
}

fn draw() -> u32 {
    draw_below(u64::from(ALL_PARTS)) as u32
}
