//! The text that every match of an expression begins with.

use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// What every text begins with that an expression matches as a whole; empty where nothing is certain.
///
/// Expressions that begin differently are told apart by it without being run.
pub(crate) fn literal_start(expression: &str) -> Vec<u8> {
    let Ok(parsed) = regex_syntax::parse(expression) else { return Vec::new() };
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix);
    extractor.extract(&parsed).longest_common_prefix().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_counts() {
        let start = |expression| String::from_utf8(literal_start(expression)).unwrap();
        assert_eq!(start("/api/v[0-9]+"), "/api/v");
        assert_eq!(start("^/api/.*"), "/api/");
        assert_eq!(start("/api/(users|groups)"), "/api/");
        assert_eq!(start("/api|/app"), "/ap");
        assert_eq!(start("/apix*"), "/api");
        assert_eq!(start("/api(?i)X"), "/api");
        assert_eq!(start(r"/a\.b\|c"), "/a.b|c");
        for nothing in [".*", "(?i)api", "a*b", "(/api)?", "a|", "", "(", "[ab]c"] {
            assert_eq!(start(nothing), "", "{nothing}");
        }
    }
}
