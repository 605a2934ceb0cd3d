//! Request targets in their one form.

use portcullis_message::{HeadRules, canonical_target};

/// The form of a form is itself, and none climbs out of its root.
pub(crate) fn run(input: &[u8]) {
    for rules in [HeadRules::SAFEST, HeadRules::ISTIO] {
        check(input, rules);
    }
}

fn check(input: &[u8], rules: HeadRules) {
    let Ok(canonical) = canonical_target(input, rules) else { return };
    let again = canonical_target(&canonical, rules);
    assert_eq!(again.as_deref(), Ok(&*canonical), "the form is one");
    let path = canonical.split(|byte| *byte == b'?').next().unwrap_or_default();
    let climbs = path.split(|byte| *byte == b'/').any(|segment| segment == b"..");
    assert!(!climbs, "{}", String::from_utf8_lossy(path));
}
