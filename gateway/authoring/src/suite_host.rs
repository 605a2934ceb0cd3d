//! A host that runs a suite's filter on every case's listener: this gateway, or an Envoy.

use std::net::SocketAddr;
use std::time::Duration;

use crate::author_error::AuthorError;
use crate::child_lines::ChildLines;
use crate::suite_client::read_page;

/// A running host.
#[derive(Debug)]
pub(crate) struct SuiteHost {
    /// The process and what it logs.
    pub child: ChildLines,
    /// Where each case is served, by its number.
    pub addresses: Vec<SocketAddr>,
    /// Where its statistics are.
    pub statistics: SocketAddr,
    /// How they are written.
    pub dialect: Dialect,
    /// What it was started with; removed with it.
    pub _directory: tempfile::TempDir,
}

/// How a host writes its statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Prometheus's lines, with the plugin's name.
    Portcullis,
    /// Envoy's own lines.
    Envoy,
}

impl SuiteHost {
    /// A metric of the filter in one case; 0 where it does not exist yet.
    ///
    /// # Errors
    /// The statistics cannot be read.
    pub(crate) async fn metric(&self, name: &str, case: usize) -> Result<u64, AuthorError> {
        let path = match self.dialect {
            Dialect::Portcullis => "/stats/prometheus",
            Dialect::Envoy => "/stats",
        };
        let page = read_page(self.statistics, path).await.map_err(AuthorError::Failure)?;
        let mut lines = page.lines();
        Ok(lines.find_map(|line| self.dialect.value_in(line, name, case)).unwrap_or(0))
    }
}

impl Dialect {
    /// The value, where this line is the metric's.
    fn value_in(self, line: &str, name: &str, case: usize) -> Option<u64> {
        let value = match self {
            Dialect::Portcullis => {
                let (series, value) = line.rsplit_once(' ')?;
                let (metric, labels) = series.split_once('{')?;
                let known = name
                    .replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_', "_");
                let same = metric == known || metric.strip_suffix("_total") == Some(&known);
                (same && labels.contains(&format!("plugin=\"suite/case-{case}\"")))
                    .then_some(value)?
            }
            // Envoy has one series for all filters of a process.
            Dialect::Envoy => {
                line.strip_prefix("wasmcustom.")?.strip_prefix(name)?.strip_prefix(": ")?
            }
        };
        value.trim().parse::<f64>().ok().map(|value| value as u64)
    }
}

/// How long a host may take to serve; compiling a large module takes seconds.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(60);

/// The last of what a host said before it ended.
pub(crate) fn last_words(heard: &[String]) -> String {
    let from = heard.len().saturating_sub(5);
    heard.get(from..).unwrap_or_default().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_in_both_dialects() {
        let ours = |line| Dialect::Portcullis.value_in(line, "a.b", 1);
        assert_eq!(ours("a_b_total{plugin=\"suite/case-1\"} 3"), Some(3));
        assert_eq!(ours("a_b{plugin=\"suite/case-1\"} 3"), Some(3));
        assert_eq!(ours("a_b{plugin=\"suite/case-11\"} 3"), None);
        let envoy = |line| Dialect::Envoy.value_in(line, "a.b", 1);
        assert_eq!(envoy("wasmcustom.a.b: 7"), Some(7));
        assert_eq!(envoy("wasmcustom.a.b2: 7"), None);
    }
}
