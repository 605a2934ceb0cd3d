//! Writes Prometheus' text format.
//!
//! Our own few lines instead of prometheus-client's encoder, because most of what we write are plain cells merged
//! at scrape with labels rendered once, and names that its rules for suffixes would change.

use std::fmt::{Display, Write};

use crate::metric_kind::MetricKind;

/// A text being written, family by family.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: MetricKind, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &Labels::default(), value);
    }

    /// One sample of a counter or gauge.
    pub(crate) fn sample(&mut self, name: &str, labels: &Labels, value: impl Display) {
        let labels = &labels.0;
        let _ = match labels.is_empty() {
            true => writeln!(self.text, "{name} {value}"),
            false => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    /// The samples of one histogram, from buckets that are not cumulative: one more than there are bounds.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        labels: &Labels,
        bounds: &[f64],
        buckets: impl IntoIterator<Item = u64>,
        sum: impl Display,
    ) {
        let labels = &labels.0;
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        let mut bounds = bounds.iter();
        for bucket in buckets {
            count += bucket;
            let _ = match bounds.next() {
                Some(bound) => {
                    writeln!(self.text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}")
                }
                None => writeln!(self.text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"),
            };
        }
        let labels = Labels(labels.clone());
        self.sample(&format!("{name}_sum"), &labels, sum);
        self.sample(&format!("{name}_count"), &labels, count);
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Labels as they stand between the braces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Labels(String);

impl Labels {
    /// With one more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.push(name, value);
        self
    }

    /// Adds one.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let labels = Labels::default().with("a", "x\"y\\z\n").with("b", "");
        assert_eq!(labels.0, r#"a="x\"y\\z\n",b="""#);
    }

    #[test]
    fn buckets_are_written_cumulative() {
        let mut text = Exposition::default();
        text.family("size", MetricKind::Histogram, "Sizes.");
        text.histogram("size", &Labels::default(), &[0.5, 3_600_000.0], [1, 0, 2], 7);
        assert_eq!(
            text.finish(),
            "# HELP size Sizes.\n# TYPE size histogram\nsize_bucket{le=\"0.5\"} 1\n\
             size_bucket{le=\"3600000\"} 1\nsize_bucket{le=\"+Inf\"} 3\nsize_sum 7\nsize_count 3\n"
        );
    }
}
