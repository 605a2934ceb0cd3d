//! Names of metric families: made valid for Prometheus, and each owned by one kind.

use std::collections::HashMap;
use std::sync::Arc;

use crate::histogram::ISTIO_BOUNDS;
use crate::metric_kind::MetricKind;

/// Families that plugins defined, by the name shown.
#[derive(Debug)]
pub(crate) struct Families {
    kinds: HashMap<Arc<str>, MetricKind>,
    /// Series that plugins may still define, all together.
    room: usize,
}

/// A plugin's name is cut here; longer ones are no use to anyone.
const LONGEST_NAME: usize = 200;

impl Families {
    /// Room for so many series.
    pub(crate) fn with_room(room: usize) -> Self {
        Families { kinds: HashMap::new(), room }
    }

    /// Takes the room that a metric needs; false where there is none left.
    pub(crate) fn take_room(&mut self, kind: MetricKind) -> bool {
        let left = self.room.checked_sub(series_of(kind));
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    /// Gives it back.
    pub(crate) fn give_back(&mut self, kind: MetricKind) {
        self.room += series_of(kind);
    }

    /// The name that a plugin's metric is shown under: its own, made valid. Where that belongs to the gateway,
    /// or to a metric of another kind, the kind is appended, since a family has one kind.
    pub(crate) fn claim(&mut self, kind: MetricKind, name: &str) -> Arc<str> {
        let mut shown = valid_name(name);
        if kind == MetricKind::Counter && !shown.ends_with("_total") {
            shown.push_str("_total");
        }
        if is_ours(&shown) {
            shown.insert_str(0, "plugin_");
        }
        while self.is_taken(kind, &shown) {
            shown.push('_');
            shown.push_str(kind.as_str());
        }
        let shown: Arc<str> = shown.into();
        self.kinds.insert(shown.clone(), kind);
        shown
    }

    /// Whether the name, or a sample name that comes with it, belongs to a family of another kind.
    fn is_taken(&self, kind: MetricKind, name: &str) -> bool {
        if self.kinds.get(name).is_some_and(|owner| *owner != kind) {
            return true;
        }
        let suffixes = ["_bucket", "_sum", "_count"];
        let part_of_histogram = suffixes.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|base| self.kinds.get(base) == Some(&MetricKind::Histogram))
        });
        let covers_another = kind == MetricKind::Histogram
            && suffixes.iter().any(|suffix| self.kinds.contains_key(&*format!("{name}{suffix}")));
        part_of_histogram || covers_another
    }
}

/// A histogram makes a series for each bucket, one for the sum and one for the count.
fn series_of(kind: MetricKind) -> usize {
    match kind {
        MetricKind::Counter | MetricKind::Gauge => 1,
        MetricKind::Histogram => ISTIO_BOUNDS.len() + 3,
    }
}

/// Every character that Prometheus forbids becomes `_`; a digit in front gets one before it.
fn valid_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
    let mut valid: String = name.chars().take(LONGEST_NAME).map(allowed).collect();
    if !valid.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        valid.insert(0, '_');
    }
    valid
}

fn is_ours(name: &str) -> bool {
    name.starts_with("portcullis_") || name.starts_with("istio_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_characters_become_underscores() {
        let mut families = Families::with_room(100);
        assert_eq!(&*families.claim(MetricKind::Gauge, "a.b-c ü"), "a_b_c__");
        assert_eq!(&*families.claim(MetricKind::Gauge, "2xx"), "_2xx");
        assert_eq!(&*families.claim(MetricKind::Gauge, ""), "_");
    }

    #[test]
    fn counters_end_in_total() {
        let mut families = Families::with_room(100);
        assert_eq!(&*families.claim(MetricKind::Counter, "hits"), "hits_total");
        assert_eq!(&*families.claim(MetricKind::Counter, "hits_total"), "hits_total");
    }

    #[test]
    fn a_family_has_one_kind() {
        let mut families = Families::with_room(100);
        assert_eq!(&*families.claim(MetricKind::Histogram, "size"), "size");
        assert_eq!(&*families.claim(MetricKind::Histogram, "size"), "size");
        assert_eq!(&*families.claim(MetricKind::Gauge, "size"), "size_gauge");
        assert_eq!(&*families.claim(MetricKind::Gauge, "size_count"), "size_count_gauge");
    }

    #[test]
    fn the_gateways_own_names_are_kept_apart() {
        let mut families = Families::with_room(100);
        let shown = families.claim(MetricKind::Counter, "istio_requests_total");
        assert_eq!(&*shown, "plugin_istio_requests_total");
    }
}
