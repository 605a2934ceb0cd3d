//! Where a name that a client chose may lead: never inward, unless that is allowed (an SSRF guard).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portcullis_supply::refuse_inward;

/// Whether a connection may go to an address that a client's own host led to.
pub(crate) fn may_reach(address: IpAddr, allowed: &[IpNet]) -> bool {
    let meant = as_meant(address);
    let is_allowed = |address: IpAddr| allowed.iter().any(|net| net.contains(&address));
    is_public(meant) || is_allowed(meant) || is_allowed(address)
}

/// Whether keys may be fetched from an address: not from this machine or its link, where they are an operator's word
/// about another.
pub(crate) fn may_fetch(address: IpAddr, allowed: &[IpNet]) -> bool {
    let meant = as_meant(address);
    let is_allowed = |address: IpAddr| allowed.iter().any(|net| net.contains(&address));
    !refuse_inward(meant) || is_allowed(meant) || is_allowed(address)
}

/// The IPv4 address that an IPv6 one stands for: mapped, or behind a translator or tunnel.
fn as_meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else { return address };
    let octets = address.octets();
    let [a, b, c, d, e, f, .., w, x, y, z] = octets;
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Ipv4Addr::new(w, x, y, z).into()
        }
        // ::a.b.c.d, which nobody uses any more, but for :: and ::1.
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Ipv4Addr::new(w, x, y, z).into(),
        // 2002:AABB:CCDD::
        _ if (a, b) == (0x20, 0x02) => Ipv4Addr::new(c, d, e, f).into(),
        _ => address.into(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Not those of RFC 6890 that are not the internet's; among them 169.254.169.254, where clouds tell secrets.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

/// Of global unicast (2000::/3) all but what is for documentation, benchmarks or Teredo.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0 | 2 | 0xdb8, ..] => false,
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
        may_reach(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn nothing_leads_inward() {
        for inward in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::127.0.0.1",
            "2001::1",
        ] {
            assert!(!may(inward, &[]), "{inward}");
        }
        for outward in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:1.1.1.1"] {
            assert!(may(outward, &[]), "{outward}");
        }
    }

    #[test]
    fn keys_come_from_networks_but_not_from_this_machine() {
        let may = |address: &str, allowed: &[&str]| {
            let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
            may_fetch(address.parse().unwrap(), &allowed)
        };
        for inward in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "::ffff:127.0.0.1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(!may(inward, &[]), "{inward}");
        }
        assert!(may("10.1.2.3", &[]) && may("192.0.2.1", &[]) && may("fd00::1", &[]));
        assert!(may("127.0.0.1", &["127.0.0.0/8"]) && may("::ffff:127.0.0.1", &["127.0.0.0/8"]));
    }

    #[test]
    fn what_is_allowed_is_reached_however_it_is_written() {
        assert!(may("10.1.2.3", &["10.0.0.0/8"]) && may("::ffff:10.1.2.3", &["10.0.0.0/8"]));
        assert!(!may("127.0.0.1", &["10.0.0.0/8"]));
        assert!(may("fd00::1", &["fd00::/8"]));
    }
}
