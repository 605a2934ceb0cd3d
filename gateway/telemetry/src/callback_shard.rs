//! One worker's counts of plugins' callbacks, found by the plugin's number: it is looked up some ten times for one
//! request.

use crate::callback_counts::CallbackCounts;
use crate::plugin_phase::PluginPhase;

/// By plugin, then by phase. Numbers are given in turn, so few places stay empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallbackShard(Vec<Option<Box<Phases>>>);

type Phases = [CallbackCounts; PluginPhase::ALL.len()];

impl CallbackShard {
    /// The counts of a plugin's phase.
    pub(crate) fn of(&mut self, plugin: u32, phase: PluginPhase) -> Option<&mut CallbackCounts> {
        let place = plugin as usize;
        if self.0.get(place).is_none_or(Option::is_none) {
            self.make_place(place);
        }
        self.0.get_mut(place)?.as_mut()?.get_mut(phase as usize)
    }

    /// What was counted, by plugin and phase.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((u32, PluginPhase), &CallbackCounts)> {
        let plugins = (0..).zip(&self.0).filter_map(|(id, phases)| Some((id, phases.as_ref()?)));
        plugins.flat_map(|(id, phases)| {
            let counted = PluginPhase::ALL.into_iter().zip(phases.iter());
            counted
                .filter(|(_, counts)| !counts.is_empty())
                .map(move |(phase, counts)| ((id, phase), counts))
        })
    }

    #[cold]
    fn make_place(&mut self, place: usize) {
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        if let Some(phases) = self.0.get_mut(place) {
            *phases = Some(Box::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_counted_is_told_by_plugin_and_phase() {
        let mut shard = CallbackShard::default();
        for (plugin, phase) in
            [(3, PluginPhase::ContextCreate), (1, PluginPhase::Log), (3, PluginPhase::RequestBody)]
        {
            shard.of(plugin, phase).unwrap().observe(Duration::from_nanos(10));
        }
        let told: Vec<_> = shard.iter().map(|(key, _)| key).collect();
        assert_eq!(
            told,
            [(1, PluginPhase::Log), (3, PluginPhase::RequestBody), (3, PluginPhase::ContextCreate)]
        );
    }

    #[test]
    fn a_phase_has_the_place_of_its_number() {
        for (number, phase) in PluginPhase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
        }
    }
}
