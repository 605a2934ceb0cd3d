//! The PROXY header that a load balancer puts before a connection's own bytes (HAProxy's PROXY protocol, versions
//! 1 and 2): bytes in, the announced client out, no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::crc32c::crc32c_without;

/// How a header of version 1 begins.
const V1: &[u8; 5] = b"PROXY";
/// The longest header of version 1, its line end included.
const V1_LONGEST: usize = 107;
/// How a header of version 2 begins.
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 that says how long the rest is.
const V2_FIXED: usize = 16;
/// The longest header of version 2 that is read: addresses and some TLVs take a few hundred bytes.
const V2_LONGEST: usize = 4096;
/// The TLV that holds a checksum of the header.
const TLV_CRC32C: u8 = 3;

/// What the first bytes of a connection turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A whole header.
    Whole {
        /// Its bytes; what follows is the connection's own.
        length: usize,
        /// The client's address; `None` where the load balancer speaks for itself (`LOCAL`, `UNKNOWN`) or of an
        /// address that is not one of TCP: then the connection's peer is the client.
        source: Option<SocketAddr>,
    },
    /// All bytes so far belong to a header, if it is one, and more are needed.
    Incomplete,
    /// The bytes do not begin like a header.
    Absent,
}

/// Why a PROXY header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The line of version 1 is not as the protocol writes it.
    #[error("the PROXY line is malformed")]
    Line,
    /// Version, command, family or length of version 2 are not as the protocol writes them.
    #[error("the binary PROXY header is malformed")]
    Binary,
    /// It says that it is longer than 4 KiB.
    #[error("the PROXY header is too long")]
    TooLong,
    /// Its checksum is another.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Reads a header from the first bytes of a connection.
///
/// # Errors
/// The bytes begin like a header and do not go on like one.
pub fn read_proxy_header(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    if bytes.starts_with(V1) {
        read_line(bytes)
    } else if bytes.starts_with(V2) {
        read_binary(bytes)
    } else if V1.starts_with(bytes) || V2.starts_with(bytes) {
        Ok(ProxyHeader::Incomplete)
    } else {
        Ok(ProxyHeader::Absent)
    }
}

fn read_line(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let window = bytes.get(..V1_LONGEST).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        let may_go_on = bytes.len() < V1_LONGEST && is_line_so_far(bytes);
        return if may_go_on { Ok(ProxyHeader::Incomplete) } else { Err(ProxyHeaderError::Line) };
    };
    let line = window.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let source = line.and_then(parse_line).ok_or(ProxyHeaderError::Line)?;
    Ok(ProxyHeader::Whole { length: end + 2, source })
}

/// Only printable bytes, a carriage return last at most: so that no more of what is not a header is read than
/// has to be.
fn is_line_so_far(bytes: &[u8]) -> bool {
    let text = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The outer `None` for a line that is none.
fn parse_line(line: &str) -> Option<Option<SocketAddr>> {
    let rest = line.strip_prefix("PROXY ")?;
    // What follows UNKNOWN is to be ignored.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return rest.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(None);
    }
    let mut parts = rest.split(' ');
    let family = parts.next()?;
    let (source, destination) = (parts.next()?, parts.next()?);
    let (source_port, destination_port) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let source: IpAddr = match family {
        "TCP4" => of_family::<Ipv4Addr>(source, destination)?.into(),
        "TCP6" => of_family::<Ipv6Addr>(source, destination)?.into(),
        _ => return None,
    };
    parse_port(destination_port)?;
    Some(Some(SocketAddr::new(source, parse_port(source_port)?)))
}

/// The source, where both addresses are of one family.
fn of_family<A: FromStr>(source: &str, destination: &str) -> Option<A> {
    destination.parse::<A>().ok()?;
    source.parse().ok()
}

/// Digits without leading zeros.
fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok())?
}

fn read_binary(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(ProxyHeader::Incomplete);
    };
    let [.., version, family, high, low] = *fixed;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let length = V2_FIXED + rest;
    let shape = Shape::of(version, family).ok_or(ProxyHeaderError::Binary)?;
    if length > V2_LONGEST {
        return Err(ProxyHeaderError::TooLong);
    }
    if rest < shape.addresses() {
        return Err(ProxyHeaderError::Binary);
    }
    let Some(header) = bytes.get(..length) else { return Ok(ProxyHeader::Incomplete) };
    check_tlvs(header, V2_FIXED + shape.addresses())?;
    let source = header.get(V2_FIXED..).and_then(|addresses| shape.source(addresses));
    Ok(ProxyHeader::Whole { length, source })
}

/// What follows the fixed part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `LOCAL`: nothing that counts, TLVs among it or not.
    Local,
    /// A family or transport that is not TCP's, by the length of its addresses.
    Other(usize),
    V4,
    V6,
}

impl Shape {
    /// `None` for what the protocol forbids to send.
    fn of(version: u8, family: u8) -> Option<Self> {
        if family >> 4 > 3 || family & 0xF > 2 {
            return None;
        }
        match (version, family) {
            (0x20, _) => Some(Shape::Local),
            (0x21, 0x11) => Some(Shape::V4),
            (0x21, 0x21) => Some(Shape::V6),
            (0x21, _) => Some(Shape::Other(match family >> 4 {
                1 => 12,
                2 => 36,
                3 => 216,
                _ => 0,
            })),
            _ => None,
        }
    }

    fn addresses(self) -> usize {
        match self {
            Shape::Local => 0,
            Shape::Other(length) => length,
            Shape::V4 => 12,
            Shape::V6 => 36,
        }
    }

    fn source(self, addresses: &[u8]) -> Option<SocketAddr> {
        match self {
            Shape::Local | Shape::Other(_) => None,
            Shape::V4 => {
                let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses.first_chunk::<12>()?;
                let port = u16::from_be_bytes([high, low]);
                Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
            }
            Shape::V6 => {
                let source = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
                let port = addresses.get(32..34)?.first_chunk::<2>().copied()?;
                Some(SocketAddr::new(source.into(), u16::from_be_bytes(port)))
            }
        }
    }
}

/// Walks the TLVs for their lengths and the checksum; what the others say is not asked. `LOCAL` and unspecified
/// addresses may be followed by anything.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), ProxyHeaderError> {
    if start == V2_FIXED {
        return Ok(());
    }
    let mut at = start;
    while let Some([kind, high, low]) = header.get(at..).and_then(|rest| rest.first_chunk::<3>()) {
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(bytes) = header.get(value.clone()) else { return Err(ProxyHeaderError::Binary) };
        if *kind == TLV_CRC32C {
            let said = <[u8; 4]>::try_from(bytes).map_err(|_| ProxyHeaderError::Binary)?;
            if u32::from_be_bytes(said) != crc32c_without(header, value.clone()) {
                return Err(ProxyHeaderError::Checksum);
            }
        }
        at = value.end;
    }
    if at == header.len() { Ok(()) } else { Err(ProxyHeaderError::Binary) }
}

#[cfg(test)]
mod tests;
