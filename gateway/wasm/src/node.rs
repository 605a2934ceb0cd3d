//! Who this gateway is, for the property `node.metadata`.

/// The facts that plugins ask for as `node.metadata.NAME`, `.NAMESPACE`, `.WORKLOAD_NAME`, `.MESH_ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMetadata {
    facts: Vec<(&'static str, String)>,
}

impl NodeMetadata {
    /// Reads them from the environment, under the names that Istio's deployments set.
    pub fn from_environment() -> Self {
        const NAMES: [(&str, &str); 5] = [
            ("NAME", "POD_NAME"),
            ("NAMESPACE", "POD_NAMESPACE"),
            ("WORKLOAD_NAME", "ISTIO_META_WORKLOAD_NAME"),
            ("MESH_ID", "ISTIO_META_MESH_ID"),
            ("CLUSTER_ID", "ISTIO_META_CLUSTER_ID"),
        ];
        let read = |(key, variable)| Some((key, std::env::var(variable).ok()?));
        NodeMetadata { facts: NAMES.into_iter().filter_map(read).collect() }
    }

    /// One fact; `None` where it is not known.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}
