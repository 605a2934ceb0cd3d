//! Where nothing is fetched from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where an address was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// By the configuration.
    Configuration,
    /// By whoever answers: a redirect, a place for tokens.
    Answer,
}

/// Where clouds tell a machine's secrets to whoever asks from it, beside link-local addresses.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Why an address is not asked; `None` where it may be.
pub(crate) fn why_not(address: IpAddr, named_by: NamedBy) -> Option<&'static str> {
    if is_metadata(address) {
        return Some("this is a link-local or metadata address, from which nothing is fetched");
    }
    (named_by == NamedBy::Answer && refuse_inward(address))
        .then_some("an answer may not lead to this machine")
}

/// Whether an address leads to this machine or to its link; a server's answer may not name it.
pub fn refuse_inward(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(Ipv4Addr::BROADCAST)
        || is_metadata(address)
}

fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address == METADATA_V4,
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_do_not_lead_inward_in_any_spelling() {
        for inward in [
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(refuse_inward(inward.parse().unwrap()), "{inward}");
        }
        for outward in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!refuse_inward(outward.parse().unwrap()), "{outward}");
        }
    }

    #[test]
    fn a_configuration_may_name_this_machine_but_no_metadata() {
        let why = |text: &str| why_not(text.parse().unwrap(), NamedBy::Configuration);
        assert_eq!((why("127.0.0.1"), why("::1")), (None, None));
        assert!(why("169.254.169.254").is_some() && why("::ffff:169.254.169.254").is_some());
    }
}
