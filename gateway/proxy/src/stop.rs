//! What ends the passing of a message through its plugins before its end.

use portcullis_exchange::Exchange;
use portcullis_message::Reply;
use portcullis_wasm::LocalReply;

use crate::ProxyError;
use crate::grpc::{GRPC_STATUS, asks_by_grpc};

/// Why a message goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A plugin answers.
    Reply(Box<LocalReply>),
    /// Something failed.
    Error(ProxyError),
}

impl From<ProxyError> for Stop {
    fn from(error: ProxyError) -> Self {
        Stop::Error(error)
    }
}

impl Stop {
    /// The reply that the client gets for it, where it got nothing yet.
    pub(crate) fn reply(self, exchange: &mut Exchange) -> Result<Reply, ProxyError> {
        match self {
            Stop::Reply(reply) => Ok(take_local_reply(exchange, *reply)),
            Stop::Error(error) => Err(error),
        }
    }
}

/// A plugin's reply, with what it says of itself in the record.
pub(crate) fn take_local_reply(exchange: &mut Exchange, local: LocalReply) -> Reply {
    let LocalReply { mut reply, details, grpc_status } = local;
    exchange.code_details = details;
    if let Some(status) = grpc_status.filter(|_| asks_by_grpc(exchange)) {
        reply.headers.insert(GRPC_STATUS, status.into());
    }
    reply
}
