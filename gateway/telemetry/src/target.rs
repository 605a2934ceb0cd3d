//! What requests are counted under, resolved once when a configuration is compiled.

use std::sync::{Arc, LazyLock};

/// The labels of one destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetLabels {
    /// The rule, as `VirtualService/ns/name/http[2]`.
    pub route: Arc<str>,
    /// The cluster, as `outbound|80|v2|reviews.shop.svc.cluster.local`.
    pub cluster: Arc<str>,
    /// The service's short name, as `reviews`.
    pub service: Arc<str>,
    /// The service's host, as `reviews.shop.svc.cluster.local`.
    pub service_host: Arc<str>,
    /// The service's namespace.
    pub namespace: Arc<str>,
}

impl TargetLabels {
    /// The labels of a request that no rule took.
    pub fn unknown() -> Self {
        // Every rule has some of these labels: they share the text.
        static UNKNOWN: LazyLock<TargetLabels> = LazyLock::new(|| TargetLabels::all("unknown"));
        UNKNOWN.clone()
    }

    /// The labels of what there was no room to count apart.
    pub(crate) fn other() -> Self {
        Self::all("other")
    }

    fn all(value: &str) -> Self {
        let value: Arc<str> = value.into();
        TargetLabels {
            route: value.clone(),
            cluster: value.clone(),
            service: value.clone(),
            service_host: value.clone(),
            namespace: value,
        }
    }
}

/// A handle that requests are counted under; made by [`Registry::target`](crate::Registry::target).
#[derive(Debug)]
pub struct RequestTarget {
    id: u32,
    labels: TargetLabels,
}

impl RequestTarget {
    pub(crate) fn new(id: u32, labels: TargetLabels) -> Self {
        RequestTarget { id, labels }
    }

    /// A small number, unique in its registry.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it was made from.
    pub fn labels(&self) -> &TargetLabels {
        &self.labels
    }
}
