//! The fields of a head, as a map whose values share the head's memory (RFC 9112 section 5).

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;

use crate::http1::error::HeadError;
use crate::http1::limits::Limits;
use crate::http1::names::field_name;

/// Reads fields, one on each line.
pub(crate) fn read_fields(
    head: &Bytes,
    lines: impl Iterator<Item = Range<usize>>,
    count: usize,
    limits: &Limits,
) -> Result<HeaderMap, HeadError> {
    if count > limits.fields {
        return Err(HeadError::TooManyFields);
    }
    let mut headers = HeaderMap::with_capacity(count);
    for line in lines {
        let start = line.start;
        let (name, value) = split(head.get(line).unwrap_or_default())?;
        if name.len() + value.len() > limits.field {
            return Err(HeadError::TooLarge);
        }
        let name = field_name(name)?;
        let value = read_value(head, start + value.start..start + value.end)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Refuses lines that can be no field, of a head that is not complete.
pub(crate) fn check_fields(
    head: &[u8],
    mut lines: impl Iterator<Item = Range<usize>>,
) -> Result<(), HeadError> {
    lines.try_for_each(|line| split(head.get(line).unwrap_or_default()).map(drop))
}

/// The name and where the value lies, without the blanks around it. What a name may consist of is not said here; a
/// line that continues the one before begins with a blank, which no name does.
fn split(line: &[u8]) -> Result<(&[u8], Range<usize>), HeadError> {
    let colon = find_colon(line).ok_or(HeadError::Malformed)?;
    let (name, rest) = line.split_at(colon);
    if name.first().is_none_or(|byte| *byte <= b' ') {
        return Err(HeadError::Malformed);
    }
    let is_value = |byte: &u8| *byte != b' ' && *byte != b'\t';
    let start = rest.iter().skip(1).position(is_value);
    let end = rest.iter().rposition(is_value);
    match (start, end) {
        (Some(start), Some(end)) => Ok((name, colon + 1 + start..colon + 1 + end)),
        _ => Ok((name, 0..0)),
    }
}

/// Eight bytes at a time: names are too short for wider steps to pay.
fn find_colon(line: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (eights, rest) = line.as_chunks::<8>();
    for (nth, eight) in eights.iter().enumerate() {
        let other = u64::from_le_bytes(*eight) ^ (ONES * b':' as u64);
        // The lowest byte that is zero sets the highest bit of its place.
        let found = other.wrapping_sub(ONES) & !other & (ONES << 7);
        if found != 0 {
            return Some(nth * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| *byte == b':')?;
    Some(eights.len() * 8 + place)
}

fn read_value(head: &Bytes, place: Range<usize>) -> Result<HeaderValue, HeadError> {
    // An empty slice of shared bytes would still hold on to them.
    let value = if place.is_empty() { Bytes::new() } else { head.slice(place) };
    HeaderValue::from_maybe_shared(value).map_err(|_| HeadError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_is_found_wherever_it_is() {
        for length in 0..40 {
            let plain = vec![0xba; length];
            assert_eq!(find_colon(&plain), None);
            for place in 0..length {
                let mut line = plain.clone();
                line[place..].fill(b':');
                assert_eq!(find_colon(&line), Some(place));
                line[place + 1..].fill(b';');
                assert_eq!(find_colon(&line), Some(place));
            }
        }
    }
}
