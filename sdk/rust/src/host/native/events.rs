//! What is still to happen at the mock host, in the order of its time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Delivered;
use super::stream::Headers;

/// Something that the host tells a root context.
#[derive(Debug)]
pub(crate) enum Event {
    Tick { root: u32 },
    QueueReady { root: u32, queue: u32 },
    HttpAnswer { root: u32, call: u32, answer: Delivered },
    GrpcInitialMetadata { root: u32, call: u32, metadata: Headers },
    GrpcMessage { root: u32, call: u32, message: Vec<u8> },
    GrpcTrailingMetadata { root: u32, call: u32, metadata: Headers },
    GrpcClose { root: u32, call: u32, status: u32, message: String },
}

/// Events by their time, then in the order in which they were announced.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: BTreeMap<(Duration, u64), Event>,
    announced: u64,
    /// Each root context's period.
    ticks: BTreeMap<u32, Duration>,
}

impl Events {
    pub(crate) fn announce(&mut self, at: Duration, event: Event) {
        self.announced += 1;
        self.waiting.insert((at, self.announced), event);
    }

    /// A period begins when it is set; none ends the ticking.
    pub(crate) fn set_tick_period(&mut self, root: u32, now: Duration, period: Option<Duration>) {
        self.waiting
            .retain(|_, event| !matches!(event, Event::Tick { root: told } if *told == root));
        self.ticks.remove(&root);
        if let Some(period) = period {
            self.ticks.insert(root, period);
            self.announce(now + period, Event::Tick { root });
        }
    }

    pub(crate) fn tick_period(&self, root: u32) -> Option<Duration> {
        self.ticks.get(&root).copied()
    }

    /// The first event that is due by then, with its time; a tick announces the next one.
    pub(crate) fn next_until(&mut self, until: Duration) -> Option<(Duration, Event)> {
        let first = self.waiting.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((at, _), event) = first.remove_entry();
        if let Event::Tick { root } = event
            && let Some(period) = self.tick_period(root)
        {
            self.announce(at + period, Event::Tick { root });
        }
        Some((at, event))
    }

    /// The clock was set: what waits, waits as long as before.
    pub(crate) fn shift(&mut self, before: Duration, now: Duration) {
        let waiting = std::mem::take(&mut self.waiting);
        let shifted = waiting
            .into_iter()
            .map(|((at, number), event)| ((at.saturating_sub(before) + now, number), event));
        self.waiting = shifted.collect();
    }

    /// Forgets what was to come of one call.
    pub(crate) fn forget_call(&mut self, id: u32) {
        self.waiting.retain(|_, event| match event {
            Event::Tick { .. } | Event::QueueReady { .. } => true,
            Event::HttpAnswer { call, .. }
            | Event::GrpcInitialMetadata { call, .. }
            | Event::GrpcMessage { call, .. }
            | Event::GrpcTrailingMetadata { call, .. }
            | Event::GrpcClose { call, .. } => *call != id,
        });
    }

    /// Forgets all that was to come for a root context that is no more.
    pub(crate) fn forget_root(&mut self, gone: u32) {
        self.ticks.remove(&gone);
        self.waiting.retain(|_, event| event.root() != gone);
    }
}

impl Event {
    pub(crate) fn root(&self) -> u32 {
        match self {
            Event::Tick { root }
            | Event::QueueReady { root, .. }
            | Event::HttpAnswer { root, .. }
            | Event::GrpcInitialMetadata { root, .. }
            | Event::GrpcMessage { root, .. }
            | Event::GrpcTrailingMetadata { root, .. }
            | Event::GrpcClose { root, .. } => *root,
        }
    }
}
