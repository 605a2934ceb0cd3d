//! One plugin on a connection: its callbacks, and what it holds of each direction.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use portcullis_exchange::Exchange;
use portcullis_model::FailStrategy;
use portcullis_snapshot::PluginStep;
use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{
    Action, ClosedBy, Direction, Effects, EndOfStream, Hooks, Instance, Meeting, Parked,
    PluginFault, Resumed, StreamId,
};

use crate::Worker;
use crate::flow_step::join;
use crate::running::end_stream;

/// Some bytes on their way, and whether they are the last.
#[derive(Debug)]
pub(crate) struct Sifted {
    pub(crate) data: Bytes,
    pub(crate) end: EndOfStream,
}

/// Why a plugin ends a connection.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It failed, and its strategy is to refuse.
    Failed(String),
    /// It breaks the connection off.
    Closed(String),
}

/// One plugin that has seen the connection.
pub(crate) struct TcpStep {
    instance: Rc<Instance>,
    stream: StreamId,
    step: PluginStep,
    index: usize,
    hooks: Hooks,
    /// What it holds of what the client sends.
    request: Held,
    /// What it holds of what the upstream sends.
    response: Held,
    /// It has changed bytes, so that the connection makes no sense without it.
    altered: bool,
    /// It failed, and the connection goes on without it.
    gone: bool,
}

/// What is held of a direction; `None` where nothing is.
type Held = Option<Sifted>;

impl Sifted {
    /// Nothing.
    pub(crate) fn nothing() -> Self {
        Sifted { data: Bytes::new(), end: EndOfStream::No }
    }

    /// Whether there is nothing to pass on.
    pub(crate) fn is_nothing(&self) -> bool {
        self.data.is_empty() && self.end == EndOfStream::No
    }
}

impl TcpStep {
    /// Has the plugin with this place in the chain see the new connection; `None` where it cannot, and the connection
    /// goes on without it.
    pub(crate) fn begin(
        worker: &Worker,
        exchange: &mut Box<Exchange>,
        step: &PluginStep,
        index: usize,
    ) -> Result<Option<Self>, Stopped> {
        let instance = step.plugin.as_ref().and_then(|plugin| worker.instances.instance(plugin));
        let (Some(instance), Some(plugin)) = (instance, &step.plugin) else {
            return without(step).map(|()| None);
        };
        let (stream, began) = (instance.open_stream(), Instant::now());
        let effects = instance.on_new_connection(stream, exchange);
        let took = began.elapsed();
        instance.charge_connection(began, took);
        worker.count_callback(plugin.metrics(), PluginPhase::NewConnection, took);
        let Ok(effects) = effects else { return without(step).map(|()| None) };
        let mut begun = TcpStep {
            instance,
            stream,
            hooks: plugin.module().hooks(),
            step: step.clone(),
            index,
            request: None,
            response: None,
            altered: false,
            gone: false,
        };
        match effects.action {
            Action::Close => {
                // It is told of the end all the same.
                let stopped = begun.closed();
                begun.end(exchange, ClosedBy::Us);
                return Err(stopped);
            }
            Action::Continue => {}
            _ => {
                plugin.metrics().tallies.pause();
                begun.request = Some(Sifted::nothing());
            }
        }
        Ok(Some(begun))
    }

    /// Its place in the chain.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Has bytes pass the plugin: what goes on.
    pub(crate) fn pass(
        &mut self,
        worker: &Worker,
        exchange: &mut Box<Exchange>,
        direction: Direction,
        piece: Sifted,
    ) -> Result<Sifted, Stopped> {
        let held = self.held_mut(direction).take();
        let pauses_anew = held.is_none();
        let before = held.map_or_else(Bytes::new, |held| held.data);
        let (mut data, end) = (join(before, piece.data), piece.end);
        if self.gone || !self.sees(direction) {
            return Ok(Sifted { data, end });
        }
        let Ok(effects) = self.call(worker, exchange, direction, data.clone(), end) else {
            self.fail()?;
            return Ok(Sifted { data, end });
        };
        if let Some(changed) = effects.body {
            self.altered = true;
            data = changed;
        }
        match effects.action {
            Action::Close => Err(self.closed()),
            Action::Continue => Ok(Sifted { data, end }),
            _ => {
                if let Some(plugin) = self.step.plugin.as_ref().filter(|_| pauses_anew) {
                    plugin.metrics().tallies.pause();
                }
                *self.held_mut(direction) = Some(Sifted { data, end });
                Ok(Sifted::nothing())
            }
        }
    }

    /// What it held, once it lets it go or has failed.
    pub(crate) fn poll_released(
        &mut self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sifted, Stopped>> {
        match self.instance.poll_resumed(self.stream, direction, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Resumed::Continue) => {}
            // Connections get no replies, as the host says to whoever sends one.
            Poll::Ready(Resumed::Close | Resumed::Reply(_)) => {
                return Poll::Ready(Err(self.closed()));
            }
            Poll::Ready(Resumed::Failed) => self.fail()?,
        }
        let released = self.held_mut(direction).take();
        Poll::Ready(Ok(released.unwrap_or_else(Sifted::nothing)))
    }

    /// Whether it holds anything of a direction.
    pub(crate) fn holds(&self, direction: Direction) -> bool {
        self.held(direction).is_some()
    }

    /// Whether it holds anything.
    pub(crate) fn holds_any(&self) -> bool {
        self.request.is_some() || self.response.is_some()
    }

    /// How much it holds of a direction.
    pub(crate) fn held_bytes(&self, direction: Direction) -> usize {
        self.held(direction).as_ref().map_or(0, |held| held.data.len())
    }

    /// Leaves what it holds with its instance, and the connection's record where nobody else has it.
    pub(crate) fn park(&mut self, record: &mut Option<Box<Exchange>>) {
        for direction in [Direction::Request, Direction::Response] {
            let Some(held) = self.held_mut(direction) else { continue };
            let body = std::mem::take(&mut held.data);
            let parked = Parked { exchange: record.take(), body, body_changed: false };
            self.instance.park(self.stream, direction, parked);
        }
    }

    /// Takes all of that back; the record where it was left here.
    pub(crate) fn bring_back(&mut self) -> Option<Box<Exchange>> {
        let mut record = None;
        for direction in [Direction::Request, Direction::Response] {
            let Some(parked) = self.instance.unpark(self.stream, direction) else { continue };
            if let Some(held) = self.held_mut(direction) {
                held.data = parked.body;
            }
            self.altered |= parked.body_changed;
            record = record.or(parked.exchange);
        }
        record
    }

    /// The connection to the upstream is over.
    pub(crate) fn upstream_closed(&self, exchange: &mut Box<Exchange>, by: ClosedBy) {
        if !self.gone {
            self.instance.on_upstream_connection_close(self.stream, exchange, by);
        }
    }

    /// The connection is over.
    pub(crate) fn end(self, exchange: &mut Box<Exchange>, by: ClosedBy) {
        if !self.gone {
            self.instance.on_downstream_connection_close(self.stream, exchange, by);
        }
        end_stream(self.instance, self.stream, exchange);
    }

    fn held(&self, direction: Direction) -> &Held {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn held_mut(&mut self, direction: Direction) -> &mut Held {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn sees(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.hooks.downstream_data,
            Direction::Response => self.hooks.upstream_data,
        }
    }

    fn call(
        &self,
        worker: &Worker,
        exchange: &mut Box<Exchange>,
        direction: Direction,
        data: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let (instance, stream, began) = (&self.instance, self.stream, Instant::now());
        let (effects, phase) = match direction {
            Direction::Request => (
                instance.on_downstream_data(stream, exchange, data, end),
                PluginPhase::DownstreamData,
            ),
            Direction::Response => {
                (instance.on_upstream_data(stream, exchange, data, end), PluginPhase::UpstreamData)
            }
        };
        let took = began.elapsed();
        self.instance.charge_connection(began, took);
        if let Some(plugin) = &self.step.plugin {
            worker.count_callback(plugin.metrics(), phase, took);
        }
        effects
    }

    /// What its failure means. Once it has changed bytes, the connection makes no sense without it.
    fn fail(&mut self) -> Result<(), Stopped> {
        self.gone = true;
        if self.instance.meet_failure(self.stream) == Meeting::Again {
            return Ok(());
        }
        match self.altered {
            true => Err(Stopped::Failed(self.step.id.to_string())),
            false => without(&self.step),
        }
    }

    fn closed(&self) -> Stopped {
        Stopped::Closed(self.step.id.to_string())
    }
}

/// Goes on without a plugin that failed, where that is its strategy.
fn without(step: &PluginStep) -> Result<(), Stopped> {
    match step.fail_strategy {
        FailStrategy::Close => Err(Stopped::Failed(step.id.to_string())),
        FailStrategy::Open => {
            if let Some(plugin) = &step.plugin {
                plugin.count_fail_open();
            }
            Ok(())
        }
    }
}
