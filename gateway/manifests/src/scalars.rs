//! Values that several kinds have: ports, durations, hosts, header names, quantities.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::uri::Authority;
use portcullis_filters::{Pattern, PatternError};
use portcullis_message::{HostPattern, HostPatternError};
use portcullis_model::parse_duration;

use crate::codes;
use crate::reader::Cursor;
use crate::report::Gravity;
use crate::suggest::closest;
use crate::yaml::Value;

/// A port number.
pub(crate) fn port(cursor: &Cursor<'_>) -> Option<u16> {
    cursor.integer(1, 65535).and_then(|number| u16::try_from(number).ok())
}

/// A duration as in Go, `1m30s` or `250ms`.
pub(crate) fn duration(cursor: &Cursor<'_>) -> Option<Duration> {
    if let Value::Integer(number) = cursor.node().value {
        let help = format!("write it with its unit, as `{number}s`");
        cursor.report(
            Gravity::Breaks,
            codes::WRONG_TYPE,
            "this has to be a string, but is a number",
            help,
        );
        return None;
    }
    let text = cursor.text()?;
    let parsed = parse_duration(text).ok();
    if parsed.is_none() {
        cursor.refuse(
            format!("`{text}` is no duration"),
            "write a number with a unit: `1.5s`, `250ms`, `1m30s`",
        );
    }
    parsed
}

/// A duration of at least a millisecond.
pub(crate) fn interval(cursor: &Cursor<'_>) -> Option<Duration> {
    let duration = duration(cursor)?;
    if duration < Duration::from_millis(1) {
        cursor.refuse("the shortest time is 1ms", "");
        return None;
    }
    Some(duration)
}

/// A whole number that is not negative.
pub(crate) fn count(cursor: &Cursor<'_>) -> Option<u32> {
    cursor.integer(0, i32::MAX.into()).and_then(|number| u32::try_from(number).ok())
}

/// A number from `least` to `most`, whole or not.
pub(crate) fn decimal(cursor: &Cursor<'_>, least: f64, most: f64) -> Option<f64> {
    let number = match cursor.node().value {
        Value::Float(number) => number,
        _ => cursor.integer(i32::MIN.into(), i32::MAX.into()).map(|number| number as f64)?,
    };
    if !(least..=most).contains(&number) {
        cursor.refuse(format!("{number} is not from {least} to {most}"), "");
        return None;
    }
    Some(number)
}

/// A host with a port, or without.
pub(crate) fn authority(cursor: &Cursor<'_>) -> Option<Box<str>> {
    let text = cursor.text()?;
    if text.parse::<Authority>().is_err() || text.contains('@') {
        cursor.refuse(format!("`{text}` is no authority"), "write `host` or `host:port`");
        return None;
    }
    Some(text.into())
}

/// A regular expression that matches a whole text.
pub(crate) fn pattern(cursor: &Cursor<'_>) -> Option<Pattern> {
    let text = cursor.text()?;
    expression(cursor, || Pattern::parse(text), Pattern::bytes)
        .map_err(|error| error.iter().for_each(|error| bad_pattern(cursor, error)))
        .ok()
}

/// Compiles what is or has a regular expression, and counts it; `Err(None)` where it was not even tried, as the object
/// has too many of them already. Those that are refused cost about as much time as those that are not.
pub(crate) fn expression<E>(
    cursor: &Cursor<'_>,
    compile: impl FnOnce() -> Result<E, PatternError>,
    bytes: impl FnOnce(&E) -> usize,
) -> Result<E, Option<PatternError>> {
    if cursor.has_room_for_expressions() {
        let compiled = compile();
        let bytes = compiled.as_ref().map_or(Pattern::MOST_BYTES, bytes);
        cursor.count_expression(bytes);
        compiled.map_err(Some)
    } else {
        Err(None)
    }
}

/// Reports an expression or what it is replaced by.
pub(crate) fn bad_pattern(cursor: &Cursor<'_>, error: &PatternError) {
    let (code, help) = match error {
        PatternError::TooLong | PatternError::TooLarge => {
            (codes::PATTERN_TOO_LARGE, "shorten it, or write several matches")
        }
        PatternError::Unbounded => (
            codes::PATTERN_TOO_LARGE,
            "bind what it repeats to one place, as `[^/]{1,99}` does; lower what stands in `{}`",
        ),
        _ => (codes::PATTERN_SYNTAX, "the language is RE2's: no look-around, no back-references"),
    };
    cursor.report(Gravity::Breaks, code, error.to_string(), help);
}

/// A size in bytes, `16Mi` or `1000000`.
pub(crate) fn parse_quantity(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000 * 1000,
        "G" => 1000 * 1000 * 1000,
        "T" => 1000 * 1000 * 1000 * 1000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// A size as [`parse_quantity`] reads it, in the largest unit in which it is whole.
pub(crate) fn show_quantity(bytes: u64) -> String {
    let units = [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let fits = |(shift, _): &(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.into_iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A host or wildcard.
pub(crate) fn host_pattern(cursor: &Cursor<'_>, text: &str) -> Option<HostPattern> {
    match HostPattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = match error {
                HostPatternError::Name(_) => error.to_string(),
                _ => format!("{error}, not `{text}`"),
            };
            cursor.refuse(message, "write a name, `*.suffix`, or `*`, without scheme and port");
            None
        }
    }
}

/// A header field's name.
pub(crate) fn header_name(cursor: &Cursor<'_>, text: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(text).ok();
    if name.is_none() {
        cursor.refuse(format!("`{text}` is no name of a header field"), "");
    }
    name
}

/// A header field's value.
pub(crate) fn header_value(cursor: &Cursor<'_>) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(cursor.text()?).ok();
    if value.is_none() {
        cursor.refuse("the value has characters that no header field can carry", "");
    }
    value
}

/// One of a few words, in the case written.
pub(crate) fn choice<T: Clone>(cursor: &Cursor<'_>, choices: &[(&'static str, T)]) -> Option<T> {
    let text = cursor.text()?;
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
    if found.is_none() {
        let words = choices.iter().map(|(word, _)| *word);
        let help = match closest(text, words.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of: {}", words.collect::<Vec<_>>().join(", ")),
        };
        cursor.refuse(format!("`{text}` is not known here"), help);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_kubernetes() {
        assert_eq!(parse_quantity("16Mi"), Some(16 << 20));
        assert_eq!(parse_quantity("5k"), Some(5000));
        for size in [0, 1, 1000, 1 << 10, 3 << 20, 1 << 40] {
            assert_eq!(parse_quantity(&show_quantity(size)), Some(size as usize));
        }
        assert_eq!(parse_quantity("Mi"), None);
        assert_eq!(parse_quantity("99999999999Gi"), None);
    }
}
