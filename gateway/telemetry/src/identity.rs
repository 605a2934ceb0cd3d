//! Who this gateway is.

/// Who this gateway is: the `source_*` labels of Istio's metrics.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The workload, as `portcullis`.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// The label `app`.
    pub app: String,
    /// The label `version`.
    pub version: String,
    /// The mesh's name for this Kubernetes cluster.
    pub cluster: String,
}

impl Default for Identity {
    fn default() -> Self {
        let unknown = || "unknown".to_owned();
        Identity {
            workload: "portcullis".to_owned(),
            namespace: unknown(),
            app: "portcullis".to_owned(),
            version: unknown(),
            cluster: unknown(),
        }
    }
}
