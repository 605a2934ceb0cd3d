//! `%START_TIME(…)%`: a `strftime` format, compiled, always in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::log_escape::push_escaped;

/// A compiled time format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Already escaped.
    Literal(Vec<u8>),
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Weekday,
    Hour,
    Minute,
    Second,
    EpochSeconds,
    /// So many digits of the second's fraction.
    Fraction(usize),
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const SECONDS_PER_DAY: u64 = 86_400;

/// A moment as `2026-01-31T12:00:00.000Z`; one before 1970 counts as 1970.
pub fn rfc3339(moment: SystemTime) -> String {
    let mut written = Vec::new();
    TimeFormat::rfc3339().push(&mut written, moment);
    String::from_utf8_lossy(&written).into_owned()
}

impl TimeFormat {
    /// Envoy's default, with milliseconds.
    pub(crate) fn rfc3339() -> Self {
        use Part::{Day, Fraction, Hour, Minute, Month, Second, Year};
        let text = |text: &str| Part::Literal(text.into());
        TimeFormat(vec![
            Year,
            text("-"),
            Month,
            text("-"),
            Day,
            text("T"),
            Hour,
            text(":"),
            Minute,
            text(":"),
            Second,
            text("."),
            Fraction(3),
            text("Z"),
        ])
    }

    /// Compiles a format; the error is the specifier that we do not know.
    pub(crate) fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c == '%' {
                push_specifier(&mut parts, &mut chars)?;
            } else {
                push_literal(&mut parts, c.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(TimeFormat(parts))
    }

    /// Appends a moment; one before 1970 counts as 1970.
    pub(crate) fn push(&self, out: &mut Vec<u8>, moment: SystemTime) {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = Date::of(since.as_secs() / SECONDS_PER_DAY);
        for part in &self.0 {
            part.push(out, &date, since.as_secs(), since.subsec_nanos());
        }
    }
}

fn push_specifier(parts: &mut Vec<Part>, chars: &mut std::str::Chars<'_>) -> Result<(), String> {
    use Part::{Day, Hour, Minute, Month, Second, Year};
    match chars.next() {
        Some('Y') => parts.push(Year),
        Some('y') => parts.push(Part::YearOfCentury),
        Some('m') => parts.push(Month),
        Some('b' | 'h') => parts.push(Part::MonthName),
        Some('d') => parts.push(Day),
        Some('j') => parts.push(Part::DayOfYear),
        Some('a') => parts.push(Part::Weekday),
        Some('H') => parts.push(Hour),
        Some('M') => parts.push(Minute),
        Some('S') => parts.push(Second),
        Some('s') => parts.push(Part::EpochSeconds),
        Some('f') => parts.push(Part::Fraction(9)),
        Some('F') => push_joined(parts, [Year, Month, Day], "-"),
        Some('T') => push_joined(parts, [Hour, Minute, Second], ":"),
        Some('z') => push_literal(parts, "+0000"),
        Some('Z') => push_literal(parts, "UTC"),
        Some('%') => push_literal(parts, "%"),
        Some(digits @ '1'..='9') if chars.next() == Some('f') => {
            parts.push(Part::Fraction(digits as usize - '0' as usize));
        }
        Some(other) => return Err(format!("%{other}")),
        None => return Err("%".to_owned()),
    }
    Ok(())
}

fn push_joined(parts: &mut Vec<Part>, joined: [Part; 3], between: &str) {
    for (nth, part) in joined.into_iter().enumerate() {
        if nth > 0 {
            push_literal(parts, between);
        }
        parts.push(part);
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !matches!(parts.last(), Some(Part::Literal(_))) {
        parts.push(Part::Literal(Vec::new()));
    }
    if let Some(Part::Literal(literal)) = parts.last_mut() {
        push_escaped(literal, text.as_bytes());
    }
}

impl Part {
    fn push(&self, out: &mut Vec<u8>, date: &Date, seconds: u64, nanos: u32) {
        let of_day = seconds % SECONDS_PER_DAY;
        match self {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::Year => push_digits(out, date.year, 4),
            Part::YearOfCentury => push_digits(out, date.year % 100, 2),
            Part::Month => push_digits(out, date.month, 2),
            Part::MonthName => push_name(out, &MONTHS, date.month - 1),
            Part::Day => push_digits(out, date.day, 2),
            Part::DayOfYear => push_digits(out, date.day_of_year, 3),
            Part::Weekday => push_name(out, &WEEKDAYS, seconds / SECONDS_PER_DAY % 7),
            Part::Hour => push_digits(out, of_day / 3_600, 2),
            Part::Minute => push_digits(out, of_day / 60 % 60, 2),
            Part::Second => push_digits(out, of_day % 60, 2),
            Part::EpochSeconds => {
                out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes())
            }
            Part::Fraction(digits) => {
                let dropped = 10u64.pow(9u32.saturating_sub(*digits as u32));
                push_digits(out, u64::from(nanos) / dropped, *digits);
            }
        }
    }
}

fn push_digits(out: &mut Vec<u8>, number: u64, digits: usize) {
    let mut buffer = [b'0'; 9];
    let mut rest = number;
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(buffer.get(buffer.len().saturating_sub(digits)..).unwrap_or(&buffer));
}

fn push_name(out: &mut Vec<u8>, names: &[&str], nth: u64) {
    out.extend_from_slice(names.get(nth as usize).unwrap_or(&"").as_bytes());
}

/// A day of the Gregorian calendar.
struct Date {
    year: u64,
    month: u64,
    day: u64,
    day_of_year: u64,
}

impl Date {
    /// The date so many days after 1970-01-01.
    ///
    /// Years are counted from March, so that the leap day is a year's last and months have a fixed pattern
    /// of lengths; eras of 400 years repeat exactly.
    fn of(days: u64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = if month <= 2 { of_year - 305 } else { of_year + 60 + u64::from(leap) };
        Date { year, month, day, day_of_year }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(format: &str, seconds: u64, nanos: u32) -> String {
        let mut out = Vec::new();
        let moment = UNIX_EPOCH + Duration::new(seconds, nanos);
        TimeFormat::compile(format).unwrap().push(&mut out, moment);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_default_is_rfc_3339_with_milliseconds() {
        let mut out = Vec::new();
        let moment = UNIX_EPOCH + Duration::new(1_709_210_096, 7_999_999);
        TimeFormat::rfc3339().push(&mut out, moment);
        assert_eq!(out, b"2024-02-29T12:34:56.007Z");
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        assert_eq!(written("%F %T %a %j", 0, 0), "1970-01-01 00:00:00 Thu 001");
        assert_eq!(written("%F %a %j", 951_782_400, 0), "2000-02-29 Tue 060");
        assert_eq!(written("%F %j", 1_735_603_200, 0), "2024-12-31 366");
        assert_eq!(written("%F %j", 1_740_787_200, 0), "2025-03-01 060");
        assert_eq!(written("%d/%b/%Y:%H:%M:%S %z", 4_107_542_399, 0), "28/Feb/2100:23:59:59 +0000");
    }

    #[test]
    fn fractions_have_as_many_digits_as_asked() {
        assert_eq!(written("%s.%3f", 5, 123_456_789), "5.123");
        assert_eq!(written("%f|%6f|%1f", 5, 23_456_789), "023456789|023456|0");
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(written("\"%y\" 100%%", 0, 0), "\\\"70\\\" 100%");
    }

    #[test]
    fn unknown_specifiers_are_named() {
        assert_eq!(TimeFormat::compile("%Y %Q").unwrap_err(), "%Q");
        assert_eq!(TimeFormat::compile("%3d").unwrap_err(), "%3");
        assert_eq!(TimeFormat::compile("%").unwrap_err(), "%");
    }

    #[test]
    fn days_go_up_by_one() {
        let mut before = Date::of(0);
        for days in 1..200_000 {
            let now = Date::of(days);
            let next_day = now.day == before.day + 1 && now.month == before.month;
            let next_month = now.day == 1 && (now.month == before.month % 12 + 1);
            assert!(next_day || next_month, "day {days}");
            assert!(
                now.day_of_year == before.day_of_year + 1 || now.day_of_year == 1,
                "day {days}"
            );
            before = now;
        }
    }
}
