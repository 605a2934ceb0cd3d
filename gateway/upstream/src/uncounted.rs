//! Requests that were under way when a limit came: nobody counted them, and they take places all the same.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::endpoint::Endpoint;

/// Where requests were under way when a limit on them came, until the last of those has ended.
#[derive(Debug, Default)]
pub(crate) struct Uncounted(ArcSwapOption<Vec<Arc<Endpoint>>>);

impl Uncounted {
    /// From now on the requests of these endpoints are counted.
    pub(crate) fn begin(&self, endpoints: impl Iterator<Item = Arc<Endpoint>>) {
        self.0.store(Some(Arc::new(endpoints.collect())));
    }

    /// How many of those that nobody counted are still under way.
    pub(crate) fn left(&self) -> u32 {
        let endpoints = self.0.load();
        let Some(some) = &*endpoints else { return 0 };
        let left: usize = some.iter().map(|endpoint| endpoint.uncounted()).sum();
        if left == 0 {
            // Unless others have taken their place meanwhile.
            self.0.compare_and_swap(&endpoints, None);
        }
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}
