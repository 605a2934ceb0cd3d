//! Request targets in their one form.

use portcullis_message::canonical_target;

/// The form of a form is itself, and none climbs out of its root.
pub(crate) fn run(input: &[u8]) {
    let Ok(canonical) = canonical_target(input) else { return };
    let again = canonical_target(&canonical);
    assert_eq!(again.as_deref(), Ok(&*canonical), "the form is one");
    let path = canonical.split(|byte| *byte == b'?').next().unwrap_or_default();
    let climbs = path.split(|byte| *byte == b'/').any(|segment| segment == b"..");
    assert!(!climbs, "{}", String::from_utf8_lossy(path));
}
