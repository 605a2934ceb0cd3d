//! Finding the most specific host pattern for a host, by hash and not by search.

use portcullis_message::HostPattern;

use crate::shards::Shards;

/// Values by host pattern. A version with few changes shares most of itself with the one before.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex<T> {
    exact: Shards<T>,
    /// Keyed as `HostPattern::Suffix` keeps them, with the leading dot.
    suffixes: Shards<T>,
    /// The length of the longest suffix: what is longer is not looked up, so that a host of many
    /// thousand labels costs no more than one that could match.
    longest_suffix: usize,
    any: Option<T>,
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        HostIndex {
            exact: Shards::default(),
            suffixes: Shards::default(),
            longest_suffix: 0,
            any: None,
        }
    }
}

impl<T> HostIndex<T> {
    /// The value of the most specific pattern that takes a host in normal form.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| self.find_suffix(host)).or(self.any.as_ref())
    }

    /// The most specific pattern that takes a host in normal form.
    pub(crate) fn find_pattern(&self, host: &str) -> Option<HostPattern> {
        if self.exact.contains_key(host) {
            return Some(HostPattern::Exact(host.into()));
        }
        let suffix = self.suffixes_of(host, 1).find(|suffix| self.suffixes.contains_key(suffix));
        let any = self.any.as_ref().map(|_| HostPattern::Any);
        suffix.map(|suffix| HostPattern::Suffix(suffix.into())).or(any)
    }

    /// The most specific pattern that takes every host of `pattern`, where there is one.
    pub(crate) fn container_of(&self, pattern: &HostPattern) -> HostPattern {
        match pattern {
            HostPattern::Any => HostPattern::Any,
            HostPattern::Exact(name) if self.exact.contains_key(name) => pattern.clone(),
            HostPattern::Exact(name) => self.suffix_or_any(name, 1),
            HostPattern::Suffix(suffix) => self.suffix_or_any(suffix, 0),
        }
    }

    /// The value of exactly this pattern.
    pub(crate) fn get(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Any => self.any.as_ref(),
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Suffix(suffix) => self.suffixes.get(suffix),
        }
    }

    /// A suffix needs at least one byte before it to match a host, hence a start of 1.
    fn find_suffix(&self, host: &str) -> Option<&T> {
        self.suffixes_of(host, 1).find_map(|suffix| self.suffixes.get(suffix))
    }

    fn suffix_or_any(&self, host: &str, start: usize) -> HostPattern {
        match self.suffixes_of(host, start).find(|suffix| self.suffixes.contains_key(suffix)) {
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Any,
        }
    }

    /// What of a host could be a known suffix, longest first: from each dot not before `start` on.
    fn suffixes_of<'a>(&self, host: &'a str, start: usize) -> impl Iterator<Item = &'a str> {
        let start = start.max(host.len().saturating_sub(self.longest_suffix));
        let bytes = host.as_bytes();
        (start..bytes.len())
            .filter(|&at| bytes.get(at) == Some(&b'.'))
            .filter_map(|at| host.get(at..))
    }
}

impl<T: Clone> HostIndex<T> {
    /// The value of the most specific pattern that takes every host of `pattern`.
    pub(crate) fn find_containing_mut(&mut self, pattern: &HostPattern) -> Option<&mut T> {
        let key = self.container_of(pattern);
        self.get_mut(&key)
    }

    /// The value of exactly this pattern, put there if it is missing; `None` never.
    pub(crate) fn entry(
        &mut self,
        pattern: &HostPattern,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        match pattern {
            HostPattern::Any => Some(self.any.get_or_insert_with(make)),
            HostPattern::Exact(name) => self.exact.get_or_insert_with(name, make),
            HostPattern::Suffix(suffix) => {
                self.longest_suffix = self.longest_suffix.max(suffix.len());
                self.suffixes.get_or_insert_with(suffix, make)
            }
        }
    }

    /// Takes away what stands under exactly this pattern.
    pub(crate) fn remove(&mut self, pattern: &HostPattern) {
        match pattern {
            HostPattern::Any => self.any = None,
            HostPattern::Exact(name) => self.exact.remove(name),
            HostPattern::Suffix(suffix) => self.suffixes.remove(suffix),
        }
    }

    /// The same patterns with other values.
    pub(crate) fn map<U: Clone>(self, mut change: impl FnMut(T) -> U) -> HostIndex<U> {
        self.filter_map(|value| Some(change(value)))
    }

    /// Some of the patterns, with other values.
    pub(crate) fn filter_map<U: Clone>(
        self,
        mut change: impl FnMut(T) -> Option<U>,
    ) -> HostIndex<U> {
        let any = self.any.and_then(&mut change);
        let exact = self.exact.filter_map(&mut change);
        let suffixes = self.suffixes.filter_map(change);
        HostIndex { exact, suffixes, longest_suffix: self.longest_suffix, any }
    }

    /// The value of exactly this pattern.
    pub(crate) fn get_mut(&mut self, pattern: &HostPattern) -> Option<&mut T> {
        match pattern {
            HostPattern::Any => self.any.as_mut(),
            HostPattern::Exact(name) => self.exact.get_mut(name),
            HostPattern::Suffix(suffix) => self.suffixes.get_mut(suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(patterns: &[&str]) -> HostIndex<String> {
        let mut index = HostIndex::default();
        for text in patterns {
            index.entry(&HostPattern::parse(text).unwrap(), || (*text).to_owned()).unwrap();
        }
        index
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let index = index(&["*", "*.example.com", "*.b.example.com", "a.b.example.com"]);
        let found = |host| index.find(host).unwrap().as_str();
        assert_eq!(found("a.b.example.com"), "a.b.example.com");
        assert_eq!(found("c.b.example.com"), "*.b.example.com");
        assert_eq!(found("b.example.com"), "*.example.com");
        assert_eq!(found("x.y.example.com"), "*.example.com");
        assert_eq!(found("example.com"), "*");
        assert_eq!(found(".example.com"), "*");
        assert_eq!(found(""), "*");
        assert_eq!(found("[2001:db8::1]"), "*");
    }

    #[test]
    fn without_a_wildcard_an_unknown_host_finds_nothing() {
        let index = index(&["*.example.com", "example.org"]);
        assert_eq!(index.find("example.net"), None);
        assert_eq!(index.find("[::ffff:10.0.0.1]"), None);
        assert_eq!(index.find(""), None);
        assert_eq!(index.find(&"a.".repeat(40_000)), None);
        assert!(index.find(&format!("{}example.com", "a.".repeat(40_000))).is_some());
    }

    #[test]
    fn an_address_is_an_exact_host() {
        let mut index = HostIndex::default();
        index.entry(&HostPattern::Exact("[2001:db8::1]".into()), || 1);
        assert_eq!(index.find("[2001:db8::1]"), Some(&1));
    }

    #[test]
    fn the_narrowest_container_of_a_pattern() {
        let mut index = index(&["*", "*.example.com", "a.example.com"]);
        let mut container = |text: &str| {
            index.find_containing_mut(&HostPattern::parse(text).unwrap()).unwrap().clone()
        };
        assert_eq!(container("*"), "*");
        assert_eq!(container("*.example.com"), "*.example.com");
        assert_eq!(container("*.b.example.com"), "*.example.com");
        assert_eq!(container("a.example.com"), "a.example.com");
        assert_eq!(container("b.example.com"), "*.example.com");
        assert_eq!(container("example.com"), "*");
    }
}
