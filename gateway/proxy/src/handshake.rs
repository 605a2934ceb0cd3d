//! Whether a request may be served on the TLS connection that it came on.

use portcullis_message::normalise_host;
use portcullis_snapshot::{CompiledListener, SocketTable, TlsFit};

use crate::ProxyError;
use crate::flight::Flight;

/// Refuses a request whose listener asks for another handshake than its connection's. Both refusals are 421, so
/// a client may try again on a connection of its own.
pub(crate) fn check_handshake(
    flight: &Flight,
    table: &SocketTable,
    listener: &CompiledListener,
) -> Result<(), ProxyError> {
    let (generation, exchange) = (flight.exchange.generation, &flight.exchange);
    let host = || normalise_host(exchange.request.authority_str());
    match table.tls_fit(generation, &exchange.connection, listener, host) {
        TlsFit::Fits => Ok(()),
        TlsFit::Misdirected => Err(ProxyError::Misdirected),
        TlsFit::Outdated => Err(ProxyError::HandshakeOutdated),
    }
}
