//! Field names that this thread has read lately: the same few come with every message.

use std::cell::RefCell;

use http::header::HeaderName;

use crate::http1::error::HeadError;

/// How many names are kept; a power of two.
const PLACES: usize = 128;
/// Longer names are not kept.
const LONGEST: usize = 30;

/// One name as it was written, and what it came to.
#[derive(Clone)]
struct Known {
    written: [u8; LONGEST],
    length: u8,
    name: HeaderName,
}

thread_local! {
    static KNOWN: RefCell<[Option<Known>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// The name that is written so; its case does not matter.
///
/// # Errors
/// It is empty or no token (RFC 9110 section 5.6.2).
pub(crate) fn field_name(written: &[u8]) -> Result<HeaderName, HeadError> {
    let malformed = |_| HeadError::Malformed;
    if written.len() > LONGEST {
        return HeaderName::from_bytes(written).map_err(malformed);
    }
    KNOWN.with_borrow_mut(|known| {
        let Some(place) = known.get_mut(place_of(written)) else {
            return Err(HeadError::Malformed);
        };
        if let Some(known) = place
            && known.written.get(..usize::from(known.length)) == Some(written)
        {
            return Ok(known.name.clone());
        }
        let name = HeaderName::from_bytes(written).map_err(malformed)?;
        *place = remember(written, &name);
        Ok(name)
    })
}

/// Where a name is kept: the length and three of its bytes tell most names apart.
fn place_of(written: &[u8]) -> usize {
    let byte = |nth: usize| written.get(nth).map_or(0, |byte| usize::from(*byte));
    let length = written.len();
    let mixed = byte(0) * 31 + byte(length / 2) * 17 + byte(length.saturating_sub(1)) * 7 + length;
    mixed % PLACES
}

fn remember(written: &[u8], name: &HeaderName) -> Option<Known> {
    let mut known = Known {
        written: [0; LONGEST],
        length: u8::try_from(written.len()).ok()?,
        name: name.clone(),
    };
    known.written.get_mut(..written.len())?.copy_from_slice(written);
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_often_it_comes() {
        let long = "x".repeat(LONGEST + 1);
        for written in ["Host", "HOST", "host", "X-Forwarded-For", "x-forwarded-for", "a", &*long] {
            for _ in 0..2 {
                let name = field_name(written.as_bytes()).unwrap();
                assert_eq!(name.as_str(), written.to_lowercase());
            }
        }
        for _ in 0..2 {
            for wrong in ["", "a b", "a:", "host ", "\u{e4}", "a\0"] {
                assert_eq!(field_name(wrong.as_bytes()), Err(HeadError::Malformed), "{wrong:?}");
            }
        }
    }

    #[test]
    fn names_of_one_place_drive_each_other_out_and_nothing_else() {
        let (one, other) = ("xaaxbbx", "xbaxbax");
        assert_eq!(place_of(one.as_bytes()), place_of(other.as_bytes()));
        for written in [one, other, one, other] {
            assert_eq!(field_name(written.as_bytes()).unwrap(), written);
        }
    }
}
