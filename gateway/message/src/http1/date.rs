//! The `Date` field of replies (RFC 9110 section 6.6.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a date in the form of RFC 9110.
pub const DATE_LENGTH: usize = 29;

/// The current date as a field value, formatted once a second at the most.
#[derive(Debug)]
pub struct DateLine {
    second: u64,
    text: [u8; DATE_LENGTH],
}

impl Default for DateLine {
    fn default() -> Self {
        let mut line = DateLine { second: u64::MAX, text: [b' '; DATE_LENGTH] };
        line.at(0);
        line
    }
}

impl DateLine {
    /// The date of now.
    pub fn now(&mut self) -> &[u8; DATE_LENGTH] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.at(now.map_or(0, |since| since.as_secs()))
    }

    /// The date so many seconds after 1970 began.
    pub fn at(&mut self, second: u64) -> &[u8; DATE_LENGTH] {
        if second != self.second {
            self.second = second;
            let date = UNIX_EPOCH + Duration::from_secs(second.min(LAST_SECOND));
            let text = httpdate::fmt_http_date(date);
            if let Ok(text) = text.as_bytes().try_into() {
                self.text = text;
            }
        }
        &self.text
    }
}

/// The end of the year 9999, the last that the format has room for.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_in_the_form_of_the_rfc() {
        let mut line = DateLine::default();
        assert_eq!(line.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(line.at(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
