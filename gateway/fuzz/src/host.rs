//! Host patterns and the hosts held against them: three lines, two patterns and an authority.

use portcullis_message::{HostPattern, normalise_host};

/// Patterns survive being written and read, and agree with each other on every host.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let patterns = [HostPattern::parse(next()), HostPattern::parse(next())];
    let authority = next();
    let host = normalise_host(authority);
    let exact = HostPattern::parse(&host).ok();
    for pattern in patterns.iter().flatten() {
        assert_eq!(HostPattern::parse(&pattern.to_string()).as_ref(), Ok(pattern));
        if let Some(exact @ HostPattern::Exact(name)) = &exact {
            assert_eq!(pattern.matches(name), pattern.contains(exact), "{pattern} {name}");
            assert_eq!(normalise_host(name), **name, "the normal form is one");
        }
    }
    if let [Ok(one), Ok(other)] = &patterns {
        let common = one.intersect(other);
        assert_eq!(common, other.intersect(one), "{one} {other}");
        let both = one.matches(&host) && other.matches(&host);
        assert_eq!(
            common.is_some_and(|common| common.matches(&host)),
            both,
            "{one} {other} {host}"
        );
    }
}
