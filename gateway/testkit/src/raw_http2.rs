//! HTTP/2 requests that no library would send.

use std::net::SocketAddr;

use crate::raw::RawConnection;

/// What a server makes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Answer {
    /// A reply with this status. Only those that HPACK has an index for are told apart; the others are 0.
    Status(u16),
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection was ended with this code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// Sends one request without a body on a connection of its own, pseudo-headers among its fields in this order.
pub async fn http2_exchange(address: SocketAddr, fields: &[(&str, &str)]) -> Http2Answer {
    let mut connection = RawConnection::connect(address).await.unwrap();
    connection.send(http2_request(fields)).await.unwrap();
    while let Ok(head) = connection.read_exactly(9).await {
        let length = usize::from(head[1]) * 256 + usize::from(head[2]);
        let Ok(payload) = connection.read_exactly(length).await else { break };
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            HEADERS => return Http2Answer::Status(status(payload[0])),
            RST_STREAM => return Http2Answer::Reset(number(0)),
            GOAWAY => return Http2Answer::GoAway(number(4)),
            _ => {}
        }
    }
    Http2Answer::Closed
}

/// The first bytes of a connection by prior knowledge, with one request of these fields and no body.
pub fn http2_request(fields: &[(&str, &str)]) -> Vec<u8> {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[0, 0, u8::try_from(block.len()).unwrap(), HEADERS, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    bytes
}

/// A field of HPACK, spelled out: no table, no Huffman code.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0, u8::try_from(name.len()).unwrap()];
    field.extend_from_slice(name.as_bytes());
    // A length of seven bits.
    field.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).unwrap());
    field.extend_from_slice(value.as_bytes());
    field
}

/// `:status` as the first field of a reply, from HPACK's static table.
fn status(byte: u8) -> u16 {
    const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    byte.checked_sub(0x88).and_then(|index| STATUSES.get(usize::from(index)).copied()).unwrap_or(0)
}
