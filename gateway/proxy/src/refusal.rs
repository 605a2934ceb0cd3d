//! What a native filter says to a request that it does not let pass.

use std::borrow::Cow;

use http::HeaderValue;
use portcullis_exchange::{Exchange, ResponseFlag};
use portcullis_message::Reply;

use crate::grpc::{GRPC_STATUS, asks_by_grpc};

/// A refusal, as the client and the record get it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Without a body of its own choice the client gets that which is written for its status.
    pub(crate) reply: Reply,
    /// `grpc-status` for clients that speak gRPC; `None` for that of the reply's status.
    pub(crate) grpc_status: Option<u32>,
    pub(crate) flag: Option<ResponseFlag>,
    /// The record's `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: Cow<'static, str>,
}

/// The reply of a refusal; flag and details go into the record.
pub(crate) fn reply_for_refusal(refusal: &Refusal, exchange: &mut Exchange) -> Reply {
    if let Some(flag) = refusal.flag {
        exchange.flags.set(flag);
    }
    exchange.code_details = refusal.details.clone();
    let mut reply = refusal.reply.clone();
    if let Some(status) = refusal.grpc_status.filter(|_| asks_by_grpc(exchange)) {
        reply.headers.insert(GRPC_STATUS, HeaderValue::from(status));
    }
    reply
}
