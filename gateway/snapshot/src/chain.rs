//! The plugins that run on a listener's requests, in running order.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{FailStrategy, ObjectId};
use portcullis_wasm::Plugin;

use crate::PluginState;

/// One plugin in its place in the chain.
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// The plugin object.
    pub id: ObjectId,
    /// What its failure means for a request.
    pub fail_strategy: FailStrategy,
    /// The running plugin; `None` for one that never became good and answers by its fail strategy.
    pub plugin: Option<Arc<Plugin>>,
}

/// The steps for the plugins that a listener names.
pub(crate) fn chain(
    ids: &[ObjectId],
    plugins: &BTreeMap<ObjectId, PluginState>,
) -> Arc<[ChainStep]> {
    let step = |id: &ObjectId| {
        let state = plugins.get(id)?;
        Some(ChainStep {
            id: id.clone(),
            fail_strategy: state.fail_strategy(),
            plugin: state.running().cloned(),
        })
    };
    ids.iter().filter_map(step).collect()
}
