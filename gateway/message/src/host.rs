//! Host names: one normal form, and the patterns that select them.

use std::borrow::Cow;
use std::fmt;

/// The host of an authority in the one form that routes compare: lower case, without port and without
/// trailing dot. An IPv6 literal keeps its brackets.
///
/// Returns the input unchanged (no allocation) where it is normal already.
pub fn normalise_host(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').and_then(|end| authority.get(..=end)).unwrap_or(authority);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// Which hosts something applies to (Istio's `hosts`): all, one name, or every name below a suffix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// `*`
    Any,
    /// `shop.example.com`, in normal form.
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`; it does not match `example.com` itself.
    Suffix(Box<str>),
}

/// Why a host pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing was written.
    #[error("the host is empty")]
    Empty,
    /// A `*` stands elsewhere than alone as the left-most label.
    #[error("a wildcard may only be the whole left-most label, as in `*.example.com`")]
    Wildcard,
    /// A label has a character that no DNS name has, or is empty.
    #[error("`{0}` is not a DNS name")]
    Name(String),
}

impl HostPattern {
    /// Reads `*`, `name` or `*.suffix`, in any case.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "" => Err(HostPatternError::Empty),
            "*" => Ok(HostPattern::Any),
            name => match name.strip_prefix("*.") {
                Some(suffix) => {
                    check_name(suffix).map(|()| HostPattern::Suffix(format!(".{suffix}").into()))
                }
                None if name.contains('*') => Err(HostPatternError::Wildcard),
                None => check_name(name).map(|()| HostPattern::Exact(name.into())),
            },
        }
    }

    /// Whether a host in normal form is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(name) => **name == *host,
            HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        }
    }

    /// What both select: the narrower of two patterns where one contains the other, else `None`.
    /// Gateway and VirtualService hosts intersect in both directions.
    pub fn intersect(&self, other: &HostPattern) -> Option<HostPattern> {
        if self.contains(other) {
            Some(other.clone())
        } else if other.contains(self) {
            Some(self.clone())
        } else {
            None
        }
    }

    /// Whether every host of `other` is also one of these.
    pub fn contains(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Any, _) => true,
            (_, HostPattern::Any) => false,
            (_, HostPattern::Exact(name)) => self.matches(name),
            (HostPattern::Suffix(outer), HostPattern::Suffix(inner)) => inner.ends_with(&**outer),
            (HostPattern::Exact(_), HostPattern::Suffix(_)) => false,
        }
    }

    /// How specific: exact names before suffixes, longer before shorter, `*` last. Greater wins.
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            HostPattern::Any => (0, 0),
            HostPattern::Suffix(suffix) => (1, suffix.len()),
            HostPattern::Exact(name) => (2, name.len()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

fn check_name(name: &str) -> Result<(), HostPatternError> {
    let refused = || HostPatternError::Name(name.to_owned());
    if name.contains('*') {
        return Err(HostPatternError::Wildcard);
    }
    if is_dns_name(name.as_bytes()) { Ok(()) } else { Err(refused()) }
}

/// Whether a name is made of labels of letters, digits, `-` and `_`, without a trailing dot.
pub(crate) fn is_dns_name(name: &[u8]) -> bool {
    let mut label = 0;
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label += 1,
            b'.' if label > 0 => label = 0,
            _ => return false,
        }
    }
    label > 0 && name.len() <= 253
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn normal_form_drops_case_port_and_dot() {
        assert_eq!(normalise_host("Shop.Example.COM:8443"), "shop.example.com");
        assert_eq!(normalise_host("shop.example.com."), "shop.example.com");
        assert_eq!(normalise_host("[2001:DB8::1]:80"), "[2001:db8::1]");
        assert!(matches!(normalise_host("shop.example.com"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_suffix_does_not_match_its_own_domain() {
        assert!(pattern("*.example.com").matches("a.b.example.com"));
        assert!(!pattern("*.example.com").matches("example.com"));
        assert!(!pattern("*.example.com").matches("badexample.com"));
    }

    #[test]
    fn patterns_intersect_in_both_directions() {
        let wide = pattern("*.example.com");
        let name = pattern("a.example.com");
        assert_eq!(wide.intersect(&name), Some(name.clone()));
        assert_eq!(name.intersect(&wide), Some(name.clone()));
        assert_eq!(HostPattern::Any.intersect(&wide), Some(wide.clone()));
        assert_eq!(wide.intersect(&pattern("*.example.org")), None);
        assert!(pattern("*.a.example.com").specificity() > wide.specificity());
    }

    #[test]
    fn wildcards_stand_alone_on_the_left() {
        assert_eq!(HostPattern::parse("a.*.com"), Err(HostPatternError::Wildcard));
        assert_eq!(HostPattern::parse("*a.com"), Err(HostPatternError::Wildcard));
        assert!(HostPattern::parse("a..com").is_err());
        assert!(HostPattern::parse("a b.com").is_err());
    }
}
