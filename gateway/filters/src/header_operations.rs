//! Setting, adding and removing header fields (Istio's `Headers.HeaderOperations`).

use std::ops::Deref;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What to do with a head's fields. Most rules and destinations do nothing, so it is small where it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOperations {
    fields: Option<Box<FieldOperations>>,
}

/// Removals first, then `set`, then `add`, as Envoy does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldOperations {
    /// Fields to remove.
    pub remove: Vec<HeaderName>,
    /// Fields to overwrite.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields to append.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderOperations {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.fields.is_none()
    }

    /// Applies them to a head.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let Some(fields) = &self.fields else { return };
        for name in &fields.remove {
            headers.remove(name);
        }
        for (name, value) in &fields.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &fields.add {
            headers.append(name, value.clone());
        }
    }

    /// One list of both, as Envoy applies the operations of one route: all removals, then what this one sets and adds,
    /// then what the other does.
    #[must_use]
    pub fn joined_with(&self, other: &HeaderOperations) -> HeaderOperations {
        let is_set = |name: &HeaderName| other.set.iter().any(|(set, _)| set == name);
        let stays = |fields: &[(HeaderName, HeaderValue)]| {
            let stay = fields.iter().filter(|(name, _)| !is_set(name)).cloned();
            stay.collect::<Vec<_>>()
        };
        FieldOperations {
            remove: [&self.remove[..], &other.remove].concat(),
            set: [stays(&self.set), other.set.clone()].concat(),
            add: [stays(&self.add), other.add.clone()].concat(),
        }
        .into()
    }
}

/// To what there is to do.
impl Deref for HeaderOperations {
    type Target = FieldOperations;

    fn deref(&self) -> &FieldOperations {
        static NOTHING: FieldOperations =
            FieldOperations { remove: Vec::new(), set: Vec::new(), add: Vec::new() };
        self.fields.as_deref().unwrap_or(&NOTHING)
    }
}

impl From<FieldOperations> for HeaderOperations {
    fn from(fields: FieldOperations) -> Self {
        let is_empty = fields.remove.is_empty() && fields.set.is_empty() && fields.add.is_empty();
        HeaderOperations { fields: (!is_empty).then(|| Box::new(fields)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_then_sets_then_adds() {
        let field = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let operations = HeaderOperations::from(FieldOperations {
            remove: vec![HeaderName::from_static("x-old")],
            set: vec![field("x-one", "new")],
            add: vec![field("x-one", "more"), field("x-old", "back")],
        });
        let mut headers: HeaderMap =
            [field("x-old", "1"), field("x-one", "old")].into_iter().collect();
        operations.apply(&mut headers);
        assert_eq!(headers.get_all("x-one").iter().collect::<Vec<_>>(), ["new", "more"]);
        assert_eq!(headers.get("x-old").unwrap(), "back");
    }

    #[test]
    fn of_one_list_removals_come_first() {
        let field = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let first = FieldOperations {
            set: vec![field("x-set", "1"), field("x-gone", "1")],
            add: vec![field("x-set", "2"), field("x-add", "1")],
            ..FieldOperations::default()
        };
        let second = FieldOperations {
            remove: vec![HeaderName::from_static("x-gone")],
            set: vec![field("x-set", "own")],
            add: vec![field("x-add", "own")],
        };
        let mut headers: HeaderMap = [field("x-gone", "0")].into_iter().collect();
        HeaderOperations::from(first).joined_with(&second.into()).apply(&mut headers);
        let values = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(values("x-set"), ["own"]);
        assert_eq!(values("x-gone"), ["1"]);
        assert_eq!(values("x-add"), ["1", "own"]);
    }
}
