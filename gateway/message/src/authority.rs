//! Authorities (`Host`, `:authority`): which ones are valid, and when two say the same.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::host::{is_dns_name, normalise_host};

/// Why an authority was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// There is none, or it is empty.
    #[error("the request names no host")]
    Missing,
    /// `Host` stands more than once.
    #[error("`Host` is repeated")]
    Repeated,
    /// It has `user@` before the host.
    #[error("userinfo is refused in a host")]
    Userinfo,
    /// It is neither a DNS name nor an address; two joined by a comma are none.
    #[error("the host is neither a DNS name nor an IP address")]
    Invalid,
    /// What follows the host is no port.
    #[error("the host's port is no number between 0 and 65535")]
    Port,
    /// `Host` and `:authority` differ.
    #[error("`Host` and `:authority` differ")]
    Disagreement,
}

/// Checks one authority: a DNS name, an IPv4 address or an IPv6 literal, and a port where there is a colon.
///
/// Case, a single trailing dot and the port are free; [`normalise_host`] takes them away.
///
/// # Errors
/// What is wrong with it.
pub fn check_authority(authority: &[u8]) -> Result<(), AuthorityError> {
    let checked = match authority {
        [] => return Err(AuthorityError::Missing),
        [b'[', literal @ ..] => check_literal(literal),
        name => check_name(name),
    };
    // Whatever else is wrong with it, and only looked for then: neither a host nor a port has an `@`.
    checked
        .map_err(|error| if authority.contains(&b'@') { AuthorityError::Userinfo } else { error })
}

/// An IPv6 address after its opening bracket, with what follows it.
fn check_literal(literal: &[u8]) -> Result<(), AuthorityError> {
    let end = literal.iter().position(|byte| *byte == b']').ok_or(AuthorityError::Invalid)?;
    let (address, rest) = literal.split_at_checked(end).ok_or(AuthorityError::Invalid)?;
    parse::<Ipv6Addr>(address).ok_or(AuthorityError::Invalid)?;
    check_port(rest.strip_prefix(b"]").unwrap_or(rest))
}

fn check_name(authority: &[u8]) -> Result<(), AuthorityError> {
    let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
    let (name, port) = authority.split_at_checked(end).ok_or(AuthorityError::Invalid)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    if !is_dns_name(name) || ends_in_number(name) && parse::<Ipv4Addr>(name).is_none() {
        return Err(AuthorityError::Invalid);
    }
    check_port(port)
}

fn check_port(port: &[u8]) -> Result<(), AuthorityError> {
    if port.is_empty() || port_of(port).is_some() { Ok(()) } else { Err(AuthorityError::Port) }
}

/// Whether two valid authorities name the same host and port, this port being understood where one names none.
pub(crate) fn same_authority(one: &str, other: &str, default_port: u16) -> bool {
    let port = |authority: &str| {
        let (_, port) = authority.split_at_checked(authority.rfind(':')?)?;
        port_of(port.as_bytes())
    };
    let port = |authority: &str| port(authority).unwrap_or(default_port);
    one == other || normalise_host(one) == normalise_host(other) && port(one) == port(other)
}

/// Such a name is read as an address by some (`127.1`) and as a name by others.
fn ends_in_number(name: &[u8]) -> bool {
    // Most names end in a letter.
    name.last().is_some_and(u8::is_ascii_digit)
        && name
            .rsplit(|byte| *byte == b'.')
            .next()
            .is_some_and(|label| label.iter().all(u8::is_ascii_digit))
}

/// The number after a colon.
fn port_of(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b":")?;
    digits.iter().all(u8::is_ascii_digit).then(|| parse(digits))?
}

fn parse<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl AuthorityError {
    /// The rule's name, for the access log.
    pub fn code(self) -> &'static str {
        match self {
            AuthorityError::Missing => "host_missing",
            AuthorityError::Repeated => "host_repeated",
            AuthorityError::Userinfo => "host_userinfo_refused",
            AuthorityError::Invalid => "host_invalid",
            AuthorityError::Port => "host_port_invalid",
            AuthorityError::Disagreement => "host_differs_from_authority",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_are_valid() {
        for authority in [
            "shop.example.com",
            "SHOP.example.com.:8443",
            "localhost:80",
            "a_b.example",
            "xn--bcher-kva.example",
            "127.0.0.1",
            "127.0.0.1:0",
            "[::1]",
            "[2001:DB8::1]:65535",
            "[::ffff:192.0.2.1]:80",
        ] {
            assert_eq!(check_authority(authority.as_bytes()), Ok(()), "{authority}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        use AuthorityError::{Invalid, Missing, Port, Userinfo};
        let long = "a".repeat(64);
        for (authority, error) in [
            ("", Missing),
            ("user@shop.example", Userinfo),
            ("user:password@shop.example:80", Userinfo),
            ("@", Userinfo),
            ("a.example,b.example", Invalid),
            ("a.example, b.example", Invalid),
            (" a.example", Invalid),
            ("a..example", Invalid),
            ("a.example..", Invalid),
            (".", Invalid),
            (".a", Invalid),
            (":80", Invalid),
            ("a b", Invalid),
            ("a/b", Invalid),
            ("a%2eb", Invalid),
            ("a\\b", Invalid),
            ("*.example", Invalid),
            ("b\u{fc}cher.example", Invalid),
            (&long, Invalid),
            ("::1", Invalid),
            ("[::1", Invalid),
            ("[::1%eth0]", Invalid),
            ("[v1.x]", Invalid),
            ("[127.0.0.1]", Invalid),
            ("[]", Invalid),
            ("127.1", Invalid),
            ("1.2.3.400", Invalid),
            ("1.2.3.4.5", Invalid),
            ("2130706433", Invalid),
            ("a:", Port),
            ("a:+80", Port),
            ("a:80a", Port),
            ("a:65536", Port),
            ("a:80:80", Port),
            ("[::1]80", Port),
            ("[::1]:", Port),
            ("[::1].", Port),
        ] {
            assert_eq!(check_authority(authority.as_bytes()), Err(error), "{authority:?}");
        }
        assert_eq!(check_authority(b"a\xff"), Err(Invalid));
    }

    #[test]
    fn two_agree_in_host_and_port() {
        for (one, other, same) in [
            ("a.example", "a.example", true),
            ("A.example.", "a.example:80", true),
            ("[::1]", "[::1]:80", true),
            ("[fe80::81]", "[fe80::81]:80", true),
            ("a.example:080", "a.example", true),
            ("a.example:81", "a.example", false),
            ("[::1]:81", "[::1]", false),
            ("a.example", "b.example", false),
        ] {
            assert_eq!(same_authority(one, other, 80), same, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = check_authority(&bytes);
        }

        #[test]
        fn a_valid_one_has_a_normal_form_that_is_valid(authority in "[a-cA-C0-9.:\\[\\]@,-]{1,12}") {
            if check_authority(authority.as_bytes()).is_ok() {
                let host = normalise_host(&authority);
                prop_assert_eq!(check_authority(host.as_bytes()), Ok(()));
                prop_assert_eq!(&*normalise_host(&host), &*host);
                prop_assert!(same_authority(&authority, &authority.to_ascii_uppercase(), 80));
            }
        }
    }
}
