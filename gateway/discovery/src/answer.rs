//! What a name's addresses are: both families together, what can be used of them, and no more than that.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::ask::{Family, LookupFailure, Records};

/// Addresses of one name that are used; the others are left out.
pub(crate) const MOST_ADDRESSES: usize = 256;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// IPv4 in the order of the reply, then IPv6.
    pub addresses: Vec<IpAddr>,
    /// How long they hold.
    pub ttl: Duration,
    /// How many the replies held.
    pub offered: usize,
}

/// The families' replies; a family that could not be asked keeps what it had.
pub(crate) struct Families {
    /// A records.
    pub v4: Result<Records, LookupFailure>,
    /// AAAA records.
    pub v6: Result<Records, LookupFailure>,
}

impl Families {
    /// Puts both together. Where one failed and says nothing about the name, `before` stands for it.
    pub(crate) fn join(self, before: Option<&Answer>) -> Result<Answer, LookupFailure> {
        let told = [&self.v4, &self.v6].into_iter().any(Result::is_ok);
        if !told {
            return Err(worse_of(self.v4, self.v6));
        }
        let (mut addresses, mut ttl) = (Vec::new(), Duration::MAX);
        for (records, family) in [(self.v4, Family::V4), (self.v6, Family::V6)] {
            match records {
                Ok(records) => {
                    addresses.extend(records.addresses);
                    ttl = ttl.min(records.ttl);
                }
                Err(failure) if failure.is_negative() => {}
                Err(_) => {
                    let kept = before.iter().flat_map(|answer| &answer.addresses);
                    addresses.extend(kept.filter(|address| family.has(address)));
                    // The missing half is wanted soon.
                    ttl = Duration::ZERO;
                }
            }
        }
        Answer { offered: addresses.len(), addresses, ttl }.usable()
    }
}

impl Answer {
    /// Without what cannot be an endpoint, and without repetitions.
    fn usable(mut self) -> Result<Self, LookupFailure> {
        let mut seen = rustc_hash::FxHashSet::default();
        self.addresses.retain(|address| may_listen(*address) && seen.insert(*address));
        if self.addresses.is_empty() {
            return Err(LookupFailure::Useless("nobody can listen at its addresses"));
        }
        Ok(self)
    }

    /// Without addresses of a family that this machine cannot reach, unless that leaves none (RFC 6724, rule 1).
    pub(crate) fn reachable(mut self, reaches: fn(IpAddr) -> bool) -> Self {
        if self.addresses.iter().any(|address| reaches(*address)) {
            self.addresses.retain(|address| reaches(*address));
        }
        self
    }

    /// As endpoints: always in the same order, and not too many.
    pub(crate) fn sorted(&self) -> Vec<IpAddr> {
        let mut addresses = self.addresses.clone();
        addresses.sort_unstable();
        addresses.truncate(MOST_ADDRESSES);
        addresses
    }
}

/// Whether the system knows a way to an address. Nothing is sent.
pub(crate) fn has_route(address: IpAddr) -> bool {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    UdpSocket::bind(any).and_then(|socket| socket.connect((address, 9))).is_ok()
}

fn may_listen(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

/// What says more: that the server could not tell, before that it knows of nothing.
fn worse_of(
    v4: Result<Records, LookupFailure>,
    v6: Result<Records, LookupFailure>,
) -> LookupFailure {
    match (v4.err(), v6.err()) {
        (Some(v4), Some(v6)) if v4.is_negative() && !v6.is_negative() => v6,
        // That the name has no address of one family says more than that there is no such name.
        (Some(LookupFailure::NoSuchName), Some(LookupFailure::Empty)) => LookupFailure::Empty,
        (Some(failure), _) | (None, Some(failure)) => failure,
        (None, None) => LookupFailure::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(ttl: u64, addresses: &[&str]) -> Result<Records, LookupFailure> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Ok(Records { addresses, ttl: Duration::from_secs(ttl) })
    }

    fn join(
        v4: Result<Records, LookupFailure>,
        v6: Result<Records, LookupFailure>,
        before: Option<&Answer>,
    ) -> Result<Answer, LookupFailure> {
        Families { v4, v6 }.join(before)
    }

    fn texts(answer: &Answer) -> Vec<String> {
        answer.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_families_make_one_answer() {
        let answer = join(records(9, &["10.0.0.2", "10.0.0.2"]), records(4, &["::1"]), None);
        let answer = answer.unwrap();
        assert_eq!(texts(&answer), ["10.0.0.2", "::1"]);
        assert_eq!((answer.ttl.as_secs(), answer.offered), (4, 3));
        let answer = join(records(9, &["10.0.0.2"]), Err(LookupFailure::Empty), None).unwrap();
        assert_eq!((texts(&answer), answer.ttl.as_secs()), (vec!["10.0.0.2".to_owned()], 9));
    }

    #[test]
    fn a_family_that_could_not_be_asked_keeps_what_it_had() {
        let before = join(records(9, &["10.0.0.2"]), records(9, &["fd00::1"]), None).unwrap();
        let timeout = || Err(LookupFailure::Timeout);
        let answer = join(timeout(), records(9, &["fd00::2"]), Some(&before)).unwrap();
        assert_eq!(texts(&answer), ["10.0.0.2", "fd00::2"]);
        assert_eq!(answer.ttl, Duration::ZERO);
        // A family that is gone is gone.
        let answer = join(records(9, &["10.0.0.3"]), Err(LookupFailure::NoSuchName), Some(&before));
        assert_eq!(texts(&answer.unwrap()), ["10.0.0.3"]);
        assert_eq!(join(timeout(), timeout(), Some(&before)), Err(LookupFailure::Timeout));
        let negative = Err(LookupFailure::NoSuchName);
        assert_eq!(join(negative, timeout(), Some(&before)), Err(LookupFailure::Timeout));
    }

    #[test]
    fn addresses_of_nobody_are_no_answer() {
        let nobody = ["0.0.0.0", "255.255.255.255", "224.0.0.1"];
        let none = join(records(5, &nobody), records(5, &["::", "ff02::1"]), None);
        assert!(matches!(none, Err(LookupFailure::Useless(_))));
        let some = join(records(5, &["0.0.0.0", "10.0.0.1"]), Err(LookupFailure::Empty), None);
        assert_eq!(texts(&some.unwrap()), ["10.0.0.1"]);
    }

    #[test]
    fn what_cannot_be_reached_is_left_out_unless_nothing_else_is_there() {
        let both = join(records(9, &["10.0.0.2"]), records(9, &["fd00::1"]), None).unwrap();
        assert_eq!(texts(&both.clone().reachable(|address| address.is_ipv4())), ["10.0.0.2"]);
        assert_eq!(texts(&both.reachable(|_| false)), ["10.0.0.2", "fd00::1"]);
        assert!(has_route("127.0.0.1".parse().unwrap()));
    }
}
