//! The chain of plugins that a request passes, and why each stands where it does.

use portcullis_model::{FailStrategy, Phase, PluginModule};
use serde::Serialize;

use crate::{Attached, Chain, ChainStep, CompiledListener, PluginState, PluginStep, Snapshot};

/// A plugin that runs on a request. The field names are those of `explain --output json`.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedPlugin {
    /// The object.
    pub plugin: String,
    /// `AUTHN`, `AUTHZ`, `STATS` or `UNSPECIFIED`; phases run in this order.
    pub phase: &'static str,
    /// Within a phase the higher runs first.
    pub priority: i32,
    /// Why it runs: the listener or the rule that it is attached to.
    pub attached_to: String,
    /// What its failure means: `FAIL_CLOSE` or `FAIL_OPEN`.
    pub fail_strategy: &'static str,
}

/// The steps of a chain, of this listener and rule.
pub(crate) fn explain_chain(
    chain: &Chain,
    listener: &CompiledListener,
    rule: Option<&str>,
    snapshot: &Snapshot,
) -> Vec<ExplainedPlugin> {
    let settings = &listener.settings;
    let gateway = format!("Gateway/{}/{}", settings.gateway, settings.server);
    let explain = |step: &PluginStep| {
        let settings = snapshot.plugins.get(&step.id).map(PluginState::settings);
        ExplainedPlugin {
            plugin: step.id.to_string(),
            phase: settings.map_or("UNSPECIFIED", |plugin| phase(plugin.phase)),
            priority: settings.map_or(0, |plugin| plugin.priority),
            attached_to: match (step.attached, rule) {
                (Attached::Rule, Some(rule)) => rule.to_owned(),
                _ => gateway.clone(),
            },
            fail_strategy: match step.fail_strategy {
                FailStrategy::Close => "FAIL_CLOSE",
                FailStrategy::Open => "FAIL_OPEN",
            },
        }
    };
    chain.iter().filter_map(ChainStep::plugin).map(explain).collect()
}

/// The policy or plugin that cannot even be started and so refuses every request.
pub(crate) fn refuses_all<'c>(chain: &'c Chain, snapshot: &Snapshot) -> Option<&'c PluginStep> {
    let closed = |step: &&PluginStep| step.fail_strategy == FailStrategy::Close;
    chain.iter().filter_map(ChainStep::plugin).filter(closed).find(|step| {
        let settings = snapshot.plugins.get(&step.id).map(PluginState::settings);
        step.plugin.is_none()
            && settings.is_some_and(|plugin| matches!(plugin.module, PluginModule::Broken(_)))
    })
}

/// A phase as manifests write it.
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Authn => "AUTHN",
        Phase::Authz => "AUTHZ",
        Phase::Stats => "STATS",
        Phase::Unspecified => "UNSPECIFIED",
    }
}
