//! Who is believed about the client: what `--topology`, `--trusted-cidr` and `--trusted-hops` come to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portcullis_message::TrustedProxies;

use crate::args::{ServeArguments, Topology};

/// Where an ALB stands unless somebody says: the private networks of RFC 1918, the shared ones of RFC 6598, which
/// EKS gives to pods, and the unique local ones of IPv6 (RFC 4193).
const PRIVATE: [(IpAddr, u8); 5] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xFC00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// The proxies whose `X-Forwarded-*`, ALB headers and PROXY headers are believed. Says in the log where a preset
/// believes more than was written down.
pub(crate) fn trusted_proxies(arguments: &ServeArguments) -> TrustedProxies {
    let mut networks = arguments.trusted_cidr.clone();
    if arguments.topology == Topology::Alb && networks.is_empty() {
        networks.extend(PRIVATE.iter().filter_map(|(at, length)| IpNet::new(*at, *length).ok()));
        tracing::warn!(
            "--topology alb without --trusted-cidr: X-Forwarded-* and ALB headers are believed from every private \
             network; name the subnets of the load balancer"
        );
    }
    TrustedProxies { networks, hops: arguments.trusted_hops }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use portcullis_message::Trust;

    use super::*;
    use crate::args::{Arguments, Command};

    fn trusted(options: &[&str]) -> TrustedProxies {
        let all = ["portcullis", "serve", "--config", "x"].iter().chain(options).copied();
        match Arguments::try_parse_from(all).unwrap().command {
            Command::Serve(serve) => trusted_proxies(&serve),
            other => panic!("{other:?}"),
        }
    }

    fn trusts(proxies: &TrustedProxies, peer: &str) -> bool {
        proxies.trust(peer.parse().unwrap()) == Trust::Trusted
    }

    #[test]
    fn at_the_edge_nobody_is_trusted() {
        let proxies = trusted(&[]);
        for peer in ["10.0.0.1", "127.0.0.1", "fd00::1", "::1", "203.0.113.9"] {
            assert!(!trusts(&proxies, peer), "{peer}");
        }
    }

    #[test]
    fn behind_an_alb_private_networks_are() {
        let proxies = trusted(&["--topology", "alb"]);
        for peer in
            ["10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "::ffff:10.0.0.1", "fd00::1"]
        {
            assert!(trusts(&proxies, peer), "{peer}");
        }
        for peer in ["203.0.113.9", "172.32.0.1", "100.128.0.1", "127.0.0.1", "::1", "2001:db8::1"]
        {
            assert!(!trusts(&proxies, peer), "{peer}");
        }
    }

    #[test]
    fn what_is_named_takes_the_place_of_the_preset() {
        let proxies = trusted(&["--topology", "alb", "--trusted-cidr", "10.9.0.0/16"]);
        assert!(trusts(&proxies, "10.9.0.1") && !trusts(&proxies, "10.1.2.3"));
    }

    #[test]
    fn hops_alone_trust_whoever_connects_and_behind_an_alb_private_networks() {
        assert!(trusts(&trusted(&["--trusted-hops", "1"]), "203.0.113.9"));
        let behind = trusted(&["--topology", "alb", "--trusted-hops", "2"]);
        assert!(trusts(&behind, "10.0.0.1") && !trusts(&behind, "203.0.113.9"));
    }
}
