//! Durations as Go and Kubernetes write them: `1.5s`, `250ms`, `1m30s`.

use std::time::Duration;

/// A year is longer than any timeout; beyond it, arithmetic on instants could overflow.
const LONGEST: f64 = 366.0 * 86_400.0;

/// Reads a duration of one or more numbers with units (`h`, `m`, `s`, `ms`, `us`, `ns`); `0` needs none.
///
/// # Errors
/// Says what is expected, where the text is no duration, negative, or longer than a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is not a duration such as 1.5s, 250ms or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, remaining) = after.split_at(letters);
        let number: f64 = number.parse().map_err(|_| refused())?;
        total += number * seconds(unit).ok_or_else(refused)?;
        rest = remaining;
    }
    if text.is_empty() {
        return Err(refused());
    }
    if !(0.0..=LONGEST).contains(&total) {
        return Err(refused());
    }
    // Nanoseconds, so that what was written in decimal comes out whole.
    Ok(Duration::from_nanos((total * 1e9).round() as u64))
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "h" => Some(3600.0),
        "m" => Some(60.0),
        "s" => Some(1.0),
        "ms" => Some(1e-3),
        "us" | "µs" => Some(1e-6),
        "ns" => Some(1e-9),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0.1s"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "5", "s", "-1s", "1x", "1s2", "9999999h", "1..5s", "1e9s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
