//! The heads of a request and of its reply on their way through the chain: filter after filter, until one answers,
//! fails, or wants more than a head.

use bytes::Bytes;
use portcullis_message::Reply;
use portcullis_model::FailStrategy;
use portcullis_snapshot::{ChainStep, PluginStep};
use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{Action, Effects, EndOfStream, Meeting, Plugin};

use crate::ProxyError;
use crate::flight::Flight;
use crate::laps::{Laps, Timed};
use crate::native_step::pass_native;
use crate::running::RunningStep;
use crate::stop::take_local_reply;

/// How far a head came.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Past all filters.
    All,
    /// The last one to see it answers; of a reply's head, in the place of that.
    Reply(Reply),
    /// The last one to see it holds it, in this way.
    Held(Action),
    /// The head was all, and the last one to see it adds a body.
    Added(Bytes),
}

/// Runs the filters from this place in the chain on: of plugins `on_request_headers`.
pub(crate) fn pass_request_head(
    flight: &mut Flight,
    chain: &[ChainStep],
    from: usize,
    end: EndOfStream,
) -> Result<Passed, ProxyError> {
    let mut laps = Laps::default();
    for (index, step) in chain.iter().enumerate().skip(from) {
        let passed = match step.plugin() {
            Some(step) => {
                let outcome = begin_step(flight, step, (index, end), &mut laps);
                settle(flight, step, outcome)?
            }
            None => {
                pass_native(flight, step)?;
                // The next plugin is not charged for its time.
                laps = Laps::default();
                Passed::All
            }
        };
        match passed {
            Passed::All => {}
            stopped => return Ok(stopped),
        }
    }
    Ok(Passed::All)
}

/// Runs `on_response_headers` of the plugins that saw the request, the last one first; `position` is the number of
/// those left, and counts down.
pub(crate) fn pass_reply_head(
    flight: &mut Flight,
    chain: &[ChainStep],
    position: &mut usize,
    end: EndOfStream,
) -> Result<Passed, ProxyError> {
    let mut laps = Laps::default();
    while *position > 0 {
        *position -= 1;
        let Some(running) = flight.steps.0.get(*position) else { continue };
        let Some(step) = chain.get(running.index).and_then(ChainStep::plugin) else { continue };
        let (instance, stream) = (running.instance.clone(), running.stream);
        let lap = laps.begin(&instance);
        let effects = instance.on_response_headers(stream, &mut flight.exchange, end);
        let phase = PluginPhase::ResponseHeaders;
        let timed = laps.end_charged(&lap, (&instance, stream), phase);
        count(flight, step.plugin.as_deref(), phase, timed);
        if effects.is_err() && instance.meet_failure(stream) == Meeting::Again {
            continue;
        }
        match settle(flight, step, effects.map_err(|_| Fault::Plugin))? {
            Passed::All => {}
            stopped => return Ok(stopped),
        }
    }
    Ok(Passed::All)
}

/// Why a plugin did not do its work on a request.
enum Fault {
    /// It trapped or ran over a budget; the host has logged and counted it.
    Plugin,
    /// It never became good, or is being restarted.
    Absent,
}

fn begin_step(
    flight: &mut Flight,
    step: &PluginStep,
    (index, end): (usize, EndOfStream),
    laps: &mut Laps,
) -> Result<Effects, Fault> {
    let plugin = step.plugin.as_ref().ok_or(Fault::Absent)?;
    let instance = flight.worker.instances.instance(plugin).ok_or(Fault::Absent)?;
    let (stream, lap) = (instance.open_stream(), laps.begin(&instance));
    let effects = instance.on_request_headers(stream, &mut flight.exchange, end);
    let phase = PluginPhase::RequestHeaders;
    let timed = laps.end_charged(&lap, (&instance, stream), phase);
    count(flight, Some(plugin), phase, timed);
    let effects = effects.map_err(|_| Fault::Plugin)?;
    // One that failed takes no further part: it would fail again at the reply, and be counted again.
    flight.steps.0.push(RunningStep { instance, stream, index });
    Ok(effects)
}

fn count(flight: &Flight, plugin: Option<&Plugin>, phase: PluginPhase, timed: Option<Timed>) {
    if let (Some(plugin), Some(timed)) = (plugin, timed) {
        flight.worker.count_timed(plugin.metrics(), phase, timed);
    }
}

/// What a callback's outcome means for the request.
fn settle(
    flight: &mut Flight,
    step: &PluginStep,
    outcome: Result<Effects, Fault>,
) -> Result<Passed, ProxyError> {
    match outcome {
        Ok(Effects { reply: Some(reply), .. }) => {
            Ok(Passed::Reply(take_local_reply(&mut flight.exchange, *reply)))
        }
        Ok(Effects { action: Action::Close, .. }) => {
            Err(ProxyError::PluginClosed(step.id.to_string()))
        }
        Ok(Effects { action: Action::Continue | Action::Discard, body, .. }) => {
            Ok(body.map_or(Passed::All, Passed::Added))
        }
        Ok(Effects { action, .. }) => {
            if let Some(plugin) = step.plugin.as_ref().filter(|_| action != Action::Runs) {
                plugin.metrics().tallies.pause();
            }
            Ok(Passed::Held(action))
        }
        Err(Fault::Plugin | Fault::Absent) => without(step).map(|()| Passed::All),
    }
}

/// Goes on without a plugin that failed, where that is its strategy.
fn without(step: &PluginStep) -> Result<(), ProxyError> {
    match step.fail_strategy {
        FailStrategy::Close => Err(ProxyError::Plugin(step.id.to_string())),
        FailStrategy::Open => {
            if let Some(plugin) = &step.plugin {
                plugin.count_fail_open();
            }
            Ok(())
        }
    }
}
