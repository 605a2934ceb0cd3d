//! Header fields that a plugin has set before: most set the same ones for each request, and to make a field costs more
//! than to find it here.

use http::{HeaderName, HeaderValue};

/// So many fields are remembered.
const MOST: usize = 8;
/// Longer values are not.
const MOST_BYTES: usize = 256;
/// A field whose value was another one so often is remembered by its name alone.
const MOST_VALUES: u8 = 4;

/// The fields that one instance has made last.
#[derive(Debug, Default)]
pub(crate) struct MadeFields {
    fields: Vec<Made>,
    /// Whose place the next new one takes.
    next: usize,
}

#[derive(Debug)]
struct Made {
    name: HeaderName,
    value: HeaderValue,
    /// How many it has had.
    values: u8,
}

impl MadeFields {
    /// A field with these bytes, without an allocation where it was made before; `None` for its name where no name
    /// has such bytes, or for its value.
    pub(crate) fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
    ) -> (Option<HeaderName>, Option<HeaderValue>) {
        let known = self.fields.iter_mut().find(|made| made.name.as_str().as_bytes() == name);
        if let Some(made) = known {
            return (Some(made.name.clone()), made.value(value));
        }
        let (name, value) =
            (HeaderName::from_bytes(name).ok(), HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (&name, &value) {
            self.remember(name, value);
        }
        (name, value)
    }

    fn remember(&mut self, name: &HeaderName, value: &HeaderValue) {
        if name.as_str().len() + value.len() > MOST_BYTES {
            return;
        }
        let made = Made { name: name.clone(), value: value.clone(), values: 1 };
        match self.fields.get_mut(self.next) {
            Some(place) => *place = made,
            None => self.fields.push(made),
        }
        self.next = (self.next + 1) % MOST;
    }
}

impl Made {
    fn value(&mut self, value: &[u8]) -> Option<HeaderValue> {
        if self.value.as_bytes() == value {
            return Some(self.value.clone());
        }
        let made = HeaderValue::from_bytes(value).ok()?;
        if self.values < MOST_VALUES && made.len() <= MOST_BYTES {
            self.values += 1;
            self.value = made.clone();
        }
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(fields: &mut MadeFields, name: &str, value: &str) -> Option<(String, String)> {
        let (name, value) = fields.field(name.as_bytes(), value.as_bytes());
        Some((name?.as_str().to_owned(), value?.to_str().ok()?.to_owned()))
    }

    #[test]
    fn a_field_is_what_was_asked_for_however_often() {
        let mut fields = MadeFields::default();
        for nth in 0..100 {
            let (name, value) = (format!("x-{}", nth % 11), format!("{}", nth % 7));
            assert_eq!(made(&mut fields, &name, &value), Some((name, value)));
        }
        assert_eq!(fields.fields.len(), MOST);
        assert_eq!(made(&mut fields, "X-1", "a"), Some(("x-1".to_owned(), "a".to_owned())));
    }

    #[test]
    fn what_is_no_field_is_refused_and_not_remembered() {
        let mut fields = MadeFields::default();
        assert_eq!(made(&mut fields, "x y", "a"), None);
        assert_eq!(made(&mut fields, "x", "a\nb"), None);
        assert!(fields.fields.is_empty());
        assert!(made(&mut fields, "x", "a").is_some());
        assert_eq!(made(&mut fields, "x", "a\nb"), None);
    }

    #[test]
    fn long_values_are_not_kept() {
        let mut fields = MadeFields::default();
        let long = "a".repeat(MOST_BYTES);
        assert!(made(&mut fields, "x", &long).is_some());
        assert!(fields.fields.is_empty());
    }
}
