//! Running the plugins of a listener over a request, and over its reply in reverse order.

use std::time::Instant;

use portcullis_message::Reply;
use portcullis_model::FailStrategy;
use portcullis_snapshot::{ChainStep, CompiledListener};
use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{Action, Effects, EndOfStream, LocalReply, Plugin};

use crate::ProxyError;
use crate::flight::Flight;
use crate::grpc::{GRPC_STATUS, asks_by_grpc};
use crate::running::RunningStep;

/// Runs `on_request_headers` of each plugin until one answers or fails.
pub(crate) fn run_request_steps(
    flight: &mut Flight,
    listener: &CompiledListener,
    end: EndOfStream,
) -> Result<Option<Reply>, ProxyError> {
    for (index, step) in listener.chain.iter().enumerate() {
        let outcome = begin_step(flight, step, index, end);
        if let Some(reply) = settle(flight, step, outcome)? {
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

/// Runs `on_response_headers` of each plugin that saw the request, the last one first. A reply takes the
/// place of the response.
pub(crate) fn run_response_steps(flight: &mut Flight) -> Result<Option<Reply>, ProxyError> {
    if flight.steps.is_empty() {
        return Ok(None);
    }
    let Some(table) = flight.table.clone() else { return Ok(None) };
    let Some(listener) = flight.choice.listener(&table) else { return Ok(None) };
    let mut replaced = None;
    for position in (0..flight.steps.0.len()).rev() {
        let Some(running) = flight.steps.0.get(position) else { break };
        let Some(step) = listener.chain.get(running.index) else { break };
        let (instance, stream, started) =
            (running.instance.clone(), running.stream, Instant::now());
        // A body follows, as far as a plugin can tell.
        let effects = instance.on_response_headers(stream, &mut flight.exchange, EndOfStream::No);
        count(flight, step.plugin.as_deref(), PluginPhase::ResponseHeaders, started);
        let reply = settle(flight, step, effects.map_err(|_| Fault::Plugin))?;
        replaced = reply.or(replaced);
    }
    Ok(replaced)
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
    step: &ChainStep,
    index: usize,
    end: EndOfStream,
) -> Result<Effects, Fault> {
    let plugin = step.plugin.as_ref().ok_or(Fault::Absent)?;
    let instance = flight.worker.instances.instance(plugin).ok_or(Fault::Absent)?;
    let (stream, started) = (instance.open_stream(), Instant::now());
    let effects = instance.on_request_headers(stream, &mut flight.exchange, end);
    count(flight, Some(plugin), PluginPhase::RequestHeaders, started);
    let effects = effects.map_err(|_| Fault::Plugin)?;
    // One that failed takes no further part: it would fail again at the reply, and be counted again.
    flight.steps.0.push(RunningStep { instance, stream, index });
    Ok(effects)
}

fn count(flight: &Flight, plugin: Option<&Plugin>, phase: PluginPhase, started: Instant) {
    if let Some(plugin) = plugin {
        flight.worker.count_callback(plugin.metrics(), phase, started.elapsed());
    }
}

/// What a callback's outcome means for the request.
fn settle(
    flight: &mut Flight,
    step: &ChainStep,
    outcome: Result<Effects, Fault>,
) -> Result<Option<Reply>, ProxyError> {
    match outcome {
        Ok(Effects { reply: Some(LocalReply { mut reply, details, grpc_status }), .. }) => {
            flight.exchange.code_details = details;
            if let Some(status) = grpc_status.filter(|_| asks_by_grpc(&flight.exchange)) {
                reply.headers.insert(GRPC_STATUS, status.into());
            }
            return Ok(Some(reply));
        }
        Ok(Effects { action: Action::Continue, .. }) => return Ok(None),
        Ok(_) => {
            tracing::warn!(plugin = %step.id, "paused a request, and nothing can resume it: no call is in flight");
        }
        Err(Fault::Plugin | Fault::Absent) => {}
    }
    match step.fail_strategy {
        FailStrategy::Close => Err(ProxyError::Plugin(step.id.to_string())),
        FailStrategy::Open => {
            if let Some(plugin) = &step.plugin {
                plugin.count_fail_open();
            }
            Ok(None)
        }
    }
}
