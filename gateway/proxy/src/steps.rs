//! Running the plugins of a listener over a request, and over its reply in reverse order.

use portcullis_message::Reply;
use portcullis_model::FailStrategy;
use portcullis_snapshot::ChainStep;
use portcullis_wasm::{Action, EndOfStream, PluginFault};

use crate::ProxyError;
use crate::flight::Flight;
use crate::running::RunningStep;

/// Runs `on_request_headers` of each plugin until one answers or fails.
pub(crate) fn run_request_steps(
    flight: &mut Flight,
    end: EndOfStream,
) -> Result<Option<Reply>, ProxyError> {
    let Some(table) = flight.table.clone() else { return Ok(None) };
    let Some(listener) = flight.choice.listener(&table) else { return Ok(None) };
    for (index, step) in listener.chain.iter().enumerate() {
        match start_step(flight, step, index, end) {
            Ok(None) => {}
            Ok(Some(reply)) => return Ok(Some(reply)),
            Err(Failed) => {
                flight.exchange.code_details = "wasm_fail_stream";
                return Err(ProxyError::Plugin(step.id.to_string()));
            }
        }
    }
    Ok(None)
}

/// Runs `on_response_headers` of each plugin that saw the request, the last one first. A reply takes the
/// place of the response.
pub(crate) fn run_response_steps(flight: &mut Flight) -> Result<Option<Reply>, ProxyError> {
    let mut replaced = None;
    for position in (0..flight.steps.0.len()).rev() {
        let Some(running) = flight.steps.0.get(position) else { break };
        let (instance, stream, index) = (running.instance.clone(), running.stream, running.index);
        // Trailers and bodies follow, as far as a plugin can tell.
        let result = instance.on_response_headers(stream, &mut flight.exchange, EndOfStream::No);
        let effects = result.map_err(Fault::from);
        match settle(flight, index, effects) {
            Ok(None) => {}
            Ok(Some(reply)) => replaced = Some(reply),
            Err(Failed) => return Err(ProxyError::Plugin(name_of(flight, index))),
        }
    }
    Ok(replaced)
}

/// A plugin failed and its strategy is to refuse.
struct Failed;

/// Why a plugin did not do its work on a request.
enum Fault {
    /// It trapped or ran over a budget; the host has logged and counted it.
    Plugin,
    /// It never became good, or is being restarted.
    Absent,
    /// It waits for something that cannot come.
    Stuck,
}

impl From<PluginFault> for Fault {
    fn from(_: PluginFault) -> Self {
        Fault::Plugin
    }
}

fn start_step(
    flight: &mut Flight,
    step: &ChainStep,
    index: usize,
    end: EndOfStream,
) -> Result<Option<Reply>, Failed> {
    let instance = step.plugin.as_ref().and_then(|plugin| flight.worker.instances.instance(plugin));
    let Some(instance) = instance else { return settle(flight, index, Err(Fault::Absent)) };
    let stream = instance.open_stream();
    flight.steps.0.push(RunningStep { instance: instance.clone(), stream, index });
    let result = instance.on_request_headers(stream, &mut flight.exchange, end);
    settle(flight, index, result.map_err(Fault::from))
}

/// What a callback's outcome means for the request.
fn settle(
    flight: &mut Flight,
    index: usize,
    outcome: Result<portcullis_wasm::Effects, Fault>,
) -> Result<Option<Reply>, Failed> {
    let fault = match outcome {
        Ok(effects) => match (effects.reply, effects.action) {
            (Some(reply), _) => {
                flight.exchange.code_details = "wasm_local_response";
                return Ok(Some(reply));
            }
            (None, Action::Continue) => return Ok(None),
            (None, Action::Pause) => Fault::Stuck,
        },
        Err(fault) => fault,
    };
    let table = flight.table.clone();
    let step = table
        .as_ref()
        .and_then(|table| flight.choice.listener(table))
        .and_then(|listener| listener.chain.get(index));
    let Some(step) = step else { return Err(Failed) };
    if matches!(fault, Fault::Stuck) {
        tracing::warn!(plugin = %step.id, "paused a request, and nothing can resume it: no call is in flight");
    }
    match step.fail_strategy {
        FailStrategy::Close => Err(Failed),
        FailStrategy::Open => {
            if let Some(plugin) = &step.plugin {
                plugin.count_fail_open();
            }
            Ok(None)
        }
    }
}

fn name_of(flight: &Flight, index: usize) -> String {
    flight
        .table
        .as_ref()
        .and_then(|table| flight.choice.listener(table))
        .and_then(|listener| listener.chain.get(index))
        .map(|step| step.id.to_string())
        .unwrap_or_default()
}
