//! Where tokens are looked for: each header once, with the rules that accept a token from there.

use crate::rules::{Prefix, Rule, Source};

/// A header with a prefix, and the rules (by index) whose tokens may be in it.
#[derive(Debug)]
pub(crate) struct Location {
    source: Source,
    rules: Vec<usize>,
}

/// The distinct places of all rules.
pub(crate) fn locations_of(rules: &[Rule]) -> Vec<Location> {
    let mut locations: Vec<Location> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for source in &rule.sources {
            match locations.iter_mut().find(|location| location.source == *source) {
                Some(location) => location.rules.push(index),
                None => locations.push(Location { source: source.clone(), rules: vec![index] }),
            }
        }
    }
    locations
}

impl Location {
    pub(crate) fn header(&self) -> &str {
        &self.source.header
    }

    pub(crate) fn accepts(&self, rule: usize) -> bool {
        self.rules.contains(&rule)
    }

    /// The token in a header's value; None where the value is of another scheme. `Bearer` with nothing behind it holds a
    /// token, an empty one, which no rule accepts.
    pub(crate) fn token<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        match &self.source.prefix {
            Prefix::Literal(prefix) => {
                value.strip_prefix(prefix.as_bytes()).map(<[u8]>::trim_ascii)
            }
            Prefix::Bearer => {
                let (scheme, rest) = value.split_at_checked("bearer".len())?;
                let ends = rest.first().is_none_or(|byte| *byte == b' ' || *byte == b'\t');
                (ends && scheme.eq_ignore_ascii_case(b"bearer")).then(|| rest.trim_ascii())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(prefix: Prefix, value: &str) -> Option<&str> {
        let source = Source { header: "authorization".into(), prefix };
        let token = Location { source, rules: vec![0] }.token(value.as_bytes())?;
        Some(std::str::from_utf8(token).unwrap())
    }

    #[test]
    fn the_bearer_scheme_is_read_in_any_case() {
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(token(Prefix::Bearer, value), Some("abc"), "{value}");
        }
        for value in ["Basic abc", "Bearerabc", "Bear", ""] {
            assert_eq!(token(Prefix::Bearer, value), None, "{value}");
        }
        assert_eq!(token(Prefix::Bearer, "Bearer"), Some(""));
        assert_eq!(token(Prefix::Bearer, "Bearer "), Some(""));
    }

    #[test]
    fn another_prefix_is_taken_literally() {
        assert_eq!(token(Prefix::Literal("jwt=".into()), "jwt=abc"), Some("abc"));
        assert_eq!(token(Prefix::Literal("jwt=".into()), "JWT=abc"), None);
        assert_eq!(token(Prefix::Literal(String::new()), "abc"), Some("abc"));
    }
}
