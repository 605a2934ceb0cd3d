//! What a suite needs of a host: a listener for each case, the filter on it, and services behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

/// All that a host is configured with.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// The module, by its whole path.
    pub module: PathBuf,
    /// The filter's configuration in each case, in their order; a case is its number here.
    pub configurations: Vec<Option<Value>>,
    /// Who answers the requests that pass.
    pub upstream: SocketAddr,
    /// Who answers the filter's calls, by cluster as the filter names it.
    pub services: BTreeMap<String, SocketAddr>,
    /// The keys of the tokens that requests bring, where some do.
    pub keys: Option<String>,
    /// Whether the host shall be as strict as Envoy.
    pub strictness: Strictness,
}

/// How a host treats what Envoy refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// As Portcullis serves: what is harmless passes.
    #[default]
    Lenient,
    /// As Envoy would.
    Envoy,
}

impl Stage {
    /// The configuration of a case as the filter reads it.
    pub(crate) fn configuration_text(&self, case: usize) -> String {
        match self.configurations.get(case) {
            Some(Some(Value::String(text))) => text.clone(),
            Some(Some(value)) => value.to_string(),
            _ => String::new(),
        }
    }
}
