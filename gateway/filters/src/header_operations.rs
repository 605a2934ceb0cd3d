//! Setting, adding and removing header fields (Istio's `Headers.HeaderOperations`).

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What to do with a head's fields: removals first, then `set`, then `add`, as Envoy does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOperations {
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
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Applies them to a head.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
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
        let operations = HeaderOperations {
            remove: vec![HeaderName::from_static("x-old")],
            set: vec![field("x-one", "new")],
            add: vec![field("x-one", "more"), field("x-old", "back")],
        };
        let mut headers: HeaderMap =
            [field("x-old", "1"), field("x-one", "old")].into_iter().collect();
        operations.apply(&mut headers);
        assert_eq!(headers.get_all("x-one").iter().collect::<Vec<_>>(), ["new", "more"]);
        assert_eq!(headers.get("x-old").unwrap(), "back");
    }
}
