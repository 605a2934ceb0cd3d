//! The PROXY protocol header that a connection to an upstream may begin with.

use std::net::{IpAddr, SocketAddr};

use portcullis_model::UpstreamProxyHeader;

/// What every binary header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and that it speaks of a connection.
const PROXY: u8 = 0x21;
/// Version 2, and that it speaks of none.
const LOCAL: u8 = 0x20;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header for a client's connection to us, its address and ours, as HAProxy's `proxy-protocol.txt` has it. Where there
/// is no client, it says that the connection is of our own.
pub(crate) fn proxy_header(
    version: UpstreamProxyHeader,
    connection: Option<(SocketAddr, SocketAddr)>,
) -> Vec<u8> {
    let Some((client, local)) = connection else {
        return match version {
            UpstreamProxyHeader::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
            UpstreamProxyHeader::V2 => [SIGNATURE.as_slice(), &[LOCAL, 0, 0, 0]].concat(),
        };
    };
    let ends = Ends::of(client, local);
    match version {
        UpstreamProxyHeader::V1 => {
            let family = if ends.source.is_ipv4() { "TCP4" } else { "TCP6" };
            let Ends { source, destination } = ends;
            let (from, to) = (client.port(), local.port());
            format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
        }
        UpstreamProxyHeader::V2 => binary(&ends, client.port(), local.port()),
    }
}

/// Both addresses in one family.
struct Ends {
    source: IpAddr,
    destination: IpAddr,
}

impl Ends {
    fn of(client: SocketAddr, local: SocketAddr) -> Self {
        let (source, destination) = (client.ip().to_canonical(), local.ip().to_canonical());
        if source.is_ipv4() == destination.is_ipv4() {
            return Ends { source, destination };
        }
        Ends { source: mapped(source), destination: mapped(destination) }
    }
}

fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(_) => address,
    }
}

fn binary(ends: &Ends, from: u16, to: u16) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    for address in [ends.source, ends.destination] {
        match address {
            IpAddr::V4(address) => addresses.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => addresses.extend_from_slice(&address.octets()),
        }
    }
    addresses.extend_from_slice(&from.to_be_bytes());
    addresses.extend_from_slice(&to.to_be_bytes());
    let family = if ends.source.is_ipv4() { TCP4 } else { TCP6 };
    let mut header = Vec::with_capacity(16 + addresses.len());
    header.extend_from_slice(SIGNATURE);
    header.extend_from_slice(&[PROXY, family, 0, if family == TCP4 { 12 } else { 36 }]);
    header.extend_from_slice(&addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(client: &str, local: &str) -> String {
        let (client, local) = (client.parse().unwrap(), local.parse().unwrap());
        String::from_utf8(proxy_header(UpstreamProxyHeader::V1, Some((client, local)))).unwrap()
    }

    #[test]
    fn the_text_names_both_ends_in_one_family() {
        let both = "PROXY TCP4 192.0.2.1 10.0.0.1 4000 80\r\n";
        assert_eq!(text("192.0.2.1:4000", "10.0.0.1:80"), both);
        assert_eq!(text("[::ffff:192.0.2.1]:4000", "[::ffff:10.0.0.1]:80"), both);
        let sixth = "PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 4000 80\r\n";
        assert_eq!(text("[2001:db8::1]:4000", "10.0.0.1:80"), sixth);
    }

    #[test]
    fn a_connection_of_our_own_says_so() {
        assert_eq!(proxy_header(UpstreamProxyHeader::V1, None), b"PROXY UNKNOWN\r\n");
        let binary = proxy_header(UpstreamProxyHeader::V2, None);
        assert_eq!((binary.len(), &binary[12..]), (16, &[0x20, 0, 0, 0][..]));
    }

    #[test]
    fn the_binary_header_says_how_long_it_is() {
        for (client, local, length) in
            [("192.0.2.1:4000", "10.0.0.1:80", 12), ("[2001:db8::1]:4000", "[2001:db8::2]:80", 36)]
        {
            let (client, local) = (client.parse().unwrap(), local.parse().unwrap());
            let header = proxy_header(UpstreamProxyHeader::V2, Some((client, local)));
            assert_eq!(header.len(), 16 + length);
            assert_eq!(usize::from(header[15]), length);
            assert_eq!(header[header.len() - 4..], [0x0f, 0xa0, 0, 80]);
        }
    }
}
