//! A gRPC stream.

use std::future::poll_fn;

use super::{Exchange, GrpcError};
use crate::abi::End;
use crate::host;

/// Messages in both directions. Dropping it cancels it, unless it is over.
#[derive(Debug)]
pub struct GrpcStream {
    exchange: Exchange,
}

impl GrpcStream {
    pub(super) fn new(exchange: Exchange) -> Self {
        GrpcStream { exchange }
    }

    /// Sends a message.
    pub fn send(&mut self, message: &[u8]) -> Result<(), GrpcError> {
        Ok(host::grpc_send(self.exchange.id, message, End::More)?)
    }

    /// Ends our half: no more messages of ours follow; the other side's may.
    pub fn close(&mut self) -> Result<(), GrpcError> {
        Ok(host::grpc_close(self.exchange.id)?)
    }

    /// Waits for the other side's next message; None when it has ended well.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, GrpcError> {
        poll_fn(|context| self.exchange.poll_next(context)).await
    }
}
