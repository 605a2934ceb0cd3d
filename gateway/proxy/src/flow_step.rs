//! One plugin in a flow: its callbacks for bodies and trailers, and what it holds meanwhile.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use portcullis_exchange::Exchange;
use portcullis_model::FailStrategy;
use portcullis_snapshot::{ChainStep, PluginStep};
use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{
    Action, Direction, Effects, EndOfStream, Hooks, Instance, Meeting, PluginFault, StreamId,
};
use tokio::task::yield_now;

use crate::laps::{Lap, Laps};
use crate::stop::Stop;
use crate::{ProxyError, Worker};

/// What a plugin that pauses at a body may hold of it, in bytes; Envoy's default.
pub(crate) const BUFFER_LIMIT: usize = 1 << 20;

/// A part of a message, in the order in which its bytes come.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) data: Bytes,
    pub(crate) then: Then,
}

/// What comes after some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Then {
    #[default]
    More,
    /// The trailers, which are in the exchange.
    Trailers,
    /// Nothing.
    End,
}

/// What a plugin keeps from going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    Nothing,
    /// The head, and with it all that would follow.
    Everything,
    /// The body, of which it sees more.
    Body,
    /// The same; what is too much for the buffer is not read.
    Reading,
    /// All of it, as its callback has not ended: it gave way.
    Runs(At),
}

/// What of a message a callback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Head,
    Body,
    Trailers,
}

/// One plugin of a flow, past whose head callback the message is, or which holds it there.
pub(crate) struct FlowStep {
    pub(crate) instance: Rc<Instance>,
    pub(crate) stream: StreamId,
    chain: Arc<[ChainStep]>,
    index: usize,
    hooks: Hooks,
    pub(crate) hold: Hold,
    /// The head has not gone on.
    pub(crate) holds_head: bool,
    pub(crate) held: Piece,
    /// It has changed bytes, so that the message makes no sense without it.
    pub(crate) altered: bool,
    /// It failed, and the message goes on without it.
    gone: bool,
    /// Of a callback that has not ended: how much of what is held it has seen before, and what comes behind it.
    seen_before: usize,
    behind: Bytes,
}

/// What a step works with.
pub(crate) struct Place<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) exchange: &'a mut Box<Exchange>,
    pub(crate) direction: Direction,
    pub(crate) others: Others,
    /// Of the callbacks, one behind the other.
    pub(crate) laps: Laps,
}

/// Whether another plugin holds something of the same message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    HoldNothing,
    /// One does. A callback that gives way would keep the exchange from it, and it could not be let go meanwhile.
    Hold,
}

impl FlowStep {
    /// A plugin with this place in the chain.
    pub(crate) fn new(
        instance: Rc<Instance>,
        stream: StreamId,
        chain: Arc<[ChainStep]>,
        index: usize,
    ) -> Self {
        let plugin = chain.get(index).and_then(|step| step.plugin()?.plugin.as_ref());
        let hooks = plugin.map_or_else(Hooks::default, |plugin| plugin.module().hooks());
        FlowStep {
            instance,
            stream,
            chain,
            index,
            hooks,
            hold: Hold::Nothing,
            holds_head: false,
            held: Piece::default(),
            altered: false,
            gone: false,
            seen_before: 0,
            behind: Bytes::new(),
        }
    }

    /// The same, holding the head as its callback said.
    pub(crate) fn holding_head(mut self, action: Action) -> Self {
        self.holds_head = true;
        self.hold = match action {
            Action::PauseHead => Hold::Body,
            Action::Runs => Hold::Runs(At::Head),
            _ => Hold::Everything,
        };
        self
    }

    /// Whether it wants to see anything of the body or the trailers.
    pub(crate) fn wants_rest(&self, direction: Direction) -> bool {
        !self.gone && (self.sees_body(direction) || self.sees_trailers(direction))
    }

    /// Whether the body may have another length behind it.
    pub(crate) fn may_alter(&self, direction: Direction) -> bool {
        !self.gone && self.hooks.sets_bodies && self.sees_body(direction)
    }

    /// Has a piece pass the plugin: what goes on, or `None` where it is held.
    pub(crate) fn pass(&mut self, place: &mut Place<'_>, piece: Piece) -> Result<Piece, Stop> {
        if self.hold == Hold::Everything {
            self.held.data = join(std::mem::take(&mut self.held.data), piece.data);
            self.held.then = piece.then;
            return Ok(Piece::default());
        }
        let Piece { data, then } = piece;
        if data.is_empty() && then != Then::End {
            return self.pass_rest(place, data, then, Seen::No);
        }
        let data = self.pass_body(place, data, then)?;
        if self.runs() {
            self.held.then = then;
            return Ok(Piece::default());
        }
        self.pass_rest(place, data, then, Seen::Yes)
    }

    /// What follows the body; `body` tells whether the plugin has just seen some of it.
    fn pass_rest(
        &mut self,
        place: &mut Place<'_>,
        mut data: Bytes,
        mut then: Then,
        body: Seen,
    ) -> Result<Piece, Stop> {
        if body == Seen::Yes && then == Then::End && has_trailers(place) {
            // They are its own.
            then = Then::Trailers;
        } else if then == Then::Trailers {
            data = self.pass_trailers(place, data)?;
        }
        if self.hold == Hold::Nothing {
            return Ok(Piece { data, then });
        }
        self.held.then = then;
        Ok(Piece { data, then: Then::More })
    }

    /// Whether its callback has not ended.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.hold, Hold::Runs(_))
    }

    /// Goes on with the callback that has not ended, for a slice; then what goes on behind the plugin.
    pub(crate) fn poll_slow(
        &mut self,
        cx: &mut Context<'_>,
        place: &mut Place<'_>,
    ) -> Poll<Result<Piece, Stop>> {
        let Hold::Runs(at) = self.hold else { return Poll::Ready(Ok(Piece::default())) };
        let unheard = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(ended) = self.instance.poll_slow(place.direction, place.exchange, unheard)
        else {
            // Woken at once, it would go before what has come from the network.
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        };
        self.hold = Hold::Nothing;
        Poll::Ready(match at {
            At::Head => self.end_head(ended),
            At::Body => self.end_body(place, ended),
            At::Trailers => self.end_trailers(ended),
        })
    }

    fn end_head(&mut self, ended: Result<Effects, PluginFault>) -> Result<Piece, Stop> {
        match ended {
            Err(_) => self.fail()?,
            Ok(effects) => match self.check(effects, |_| {})? {
                Action::Pause | Action::PauseReading => {
                    self.begin_hold(Hold::Everything);
                    return Ok(Piece::default());
                }
                Action::PauseHead => {
                    self.begin_hold(Hold::Body);
                    return Ok(Piece::default());
                }
                Action::Continue | Action::Discard | Action::Close | Action::Runs => {}
            },
        }
        Ok(self.let_go().0)
    }

    fn end_body(
        &mut self,
        place: &mut Place<'_>,
        ended: Result<Effects, PluginFault>,
    ) -> Result<Piece, Stop> {
        let Piece { data, then } = std::mem::take(&mut self.held);
        let data = self.settle_body(place.direction, ended, data, self.seen_before)?;
        self.pass_rest(place, data, then, Seen::Yes)
    }

    fn end_trailers(&mut self, ended: Result<Effects, PluginFault>) -> Result<Piece, Stop> {
        let behind = std::mem::take(&mut self.behind);
        let data = self.settle_trailers(ended, behind)?;
        let then = Then::Trailers;
        if self.hold == Hold::Nothing {
            self.held.then = Then::More;
            return Ok(Piece { data, then });
        }
        self.held.then = then;
        Ok(Piece { data, then: Then::More })
    }

    /// Lets go of what it holds. What it has not seen yet is to pass it.
    pub(crate) fn let_go(&mut self) -> (Piece, Seen) {
        let seen = if self.hold == Hold::Everything { Seen::No } else { Seen::Yes };
        self.release();
        (std::mem::take(&mut self.held), seen)
    }

    /// What the plugin's failure means; the message goes on without it, or not at all.
    pub(crate) fn fail(&mut self) -> Result<(), Stop> {
        let Some(step) = self.step() else { return Ok(()) };
        if self.instance.meet_failure(self.stream) == Meeting::Again {
            self.gone = true;
            return Ok(());
        }
        if step.fail_strategy == FailStrategy::Open && !self.altered {
            if let Some(plugin) = &step.plugin {
                plugin.count_fail_open();
            }
            self.gone = true;
            return Ok(());
        }
        Err(ProxyError::Plugin(step.id.to_string()).into())
    }

    /// The error of a plugin that breaks the stream off.
    pub(crate) fn closed(&self) -> Stop {
        let id = self.step().map(|step| step.id.to_string());
        ProxyError::PluginClosed(id.unwrap_or_default()).into()
    }

    fn step(&self) -> Option<&PluginStep> {
        self.chain.get(self.index)?.plugin()
    }

    /// Counted where it held nothing before.
    fn begin_hold(&mut self, hold: Hold) {
        let plugin = self.step().and_then(|step| step.plugin.as_ref());
        if let Some(plugin) = plugin.filter(|_| self.hold == Hold::Nothing) {
            plugin.metrics().tallies.pause();
        }
        self.hold = hold;
    }

    fn release(&mut self) {
        self.hold = Hold::Nothing;
        self.holds_head = false;
    }

    /// The bytes that go on.
    fn pass_body(
        &mut self,
        place: &mut Place<'_>,
        piece: Bytes,
        then: Then,
    ) -> Result<Bytes, Stop> {
        let held_before = self.held.data.len();
        let data = join(std::mem::take(&mut self.held.data), piece);
        if self.gone || !self.sees_body(place.direction) {
            self.release();
            return Ok(data);
        }
        let end = if then == Then::End { EndOfStream::Yes } else { EndOfStream::No };
        let called = self.call_body(place, data.clone(), end);
        self.settle_body(place.direction, called, data, held_before)
    }

    fn settle_body(
        &mut self,
        direction: Direction,
        called: Result<Effects, PluginFault>,
        mut data: Bytes,
        held_before: usize,
    ) -> Result<Bytes, Stop> {
        let Ok(effects) = called else {
            self.fail()?;
            self.release();
            return Ok(data);
        };
        let action = self.check(effects, |changed| data = changed)?;
        match action {
            Action::Continue | Action::Close => {
                self.release();
                return Ok(data);
            }
            Action::Discard => {
                data.truncate(held_before);
                self.begin_hold(Hold::Body);
            }
            Action::PauseReading => self.begin_hold(Hold::Reading),
            Action::Pause | Action::PauseHead => self.begin_hold(Hold::Body),
            Action::Runs => {
                self.seen_before = held_before;
                self.hold = Hold::Runs(At::Body);
            }
        }
        if self.hold == Hold::Body && data.len() > BUFFER_LIMIT {
            return Err(match direction {
                Direction::Request => ProxyError::RequestTooLarge,
                Direction::Response => ProxyError::ReplyTooLarge,
            }
            .into());
        }
        self.held.data = data;
        Ok(Bytes::new())
    }

    /// The bytes that go on with the trailers, or before them where those are held.
    fn pass_trailers(&mut self, place: &mut Place<'_>, data: Bytes) -> Result<Bytes, Stop> {
        if self.gone || !self.sees_trailers(place.direction) {
            self.release();
            return Ok(join(std::mem::take(&mut self.held.data), data));
        }
        let called = self.call_trailers(place);
        self.settle_trailers(called, data)
    }

    fn settle_trailers(
        &mut self,
        called: Result<Effects, PluginFault>,
        data: Bytes,
    ) -> Result<Bytes, Stop> {
        match called {
            Err(_) => self.fail()?,
            Ok(effects) => {
                let mut changed = None;
                let action = self.check(effects, |body| changed = Some(body))?;
                if let Some(body) = changed {
                    self.held.data = body;
                }
                if action == Action::Runs {
                    self.behind = data;
                    self.hold = Hold::Runs(At::Trailers);
                    return Ok(Bytes::new());
                }
                if action != Action::Continue {
                    self.begin_hold(Hold::Body);
                    return Ok(data);
                }
            }
        }
        self.release();
        Ok(join(std::mem::take(&mut self.held.data), data))
    }

    /// What is left of a callback's effects once the body is where it belongs.
    fn check(&mut self, effects: Effects, change: impl FnOnce(Bytes)) -> Result<Action, Stop> {
        if let Some(reply) = effects.reply {
            return Err(Stop::Reply(reply));
        }
        if effects.action == Action::Close {
            return Err(self.closed());
        }
        if let Some(body) = effects.body {
            self.altered = true;
            change(body);
        }
        Ok(effects.action)
    }

    fn call_body(
        &self,
        place: &mut Place<'_>,
        data: Bytes,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let (instance, stream, lap) =
            (&self.instance, self.stream, place.laps.begin(&self.instance));
        let (effects, phase) = match place.direction {
            Direction::Request => (
                instance.on_request_body(stream, place.exchange, data, end),
                PluginPhase::RequestBody,
            ),
            Direction::Response => (
                instance.on_response_body(stream, place.exchange, data, end),
                PluginPhase::ResponseBody,
            ),
        };
        let effects = self.not_beside_others(place, effects);
        self.count(place, phase, &lap);
        effects
    }

    /// A callback that gave way goes on at once where another plugin holds something.
    fn not_beside_others(
        &self,
        place: &mut Place<'_>,
        called: Result<Effects, PluginFault>,
    ) -> Result<Effects, PluginFault> {
        match called {
            Ok(Effects { action: Action::Runs, .. }) if place.others == Others::Hold => {
                self.instance.finish_slow(place.direction, place.exchange)
            }
            called => called,
        }
    }

    fn call_trailers(&self, place: &mut Place<'_>) -> Result<Effects, PluginFault> {
        let (instance, stream, lap) =
            (&self.instance, self.stream, place.laps.begin(&self.instance));
        let held = self.held.data.clone();
        let (effects, phase) = match place.direction {
            Direction::Request => (
                instance.on_request_trailers(stream, place.exchange, held),
                PluginPhase::RequestTrailers,
            ),
            Direction::Response => (
                instance.on_response_trailers(stream, place.exchange, held),
                PluginPhase::ResponseTrailers,
            ),
        };
        let effects = self.not_beside_others(place, effects);
        self.count(place, phase, &lap);
        effects
    }

    fn count(&self, place: &mut Place<'_>, phase: PluginPhase, lap: &Lap) {
        let timed = place.laps.end_charged(lap, (&self.instance, self.stream), phase);
        let Some(timed) = timed else { return };
        if let Some(plugin) = self.step().and_then(|step| step.plugin.as_ref()) {
            place.worker.count_timed(plugin.metrics(), phase, timed);
        }
    }

    fn sees_body(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.hooks.request_body,
            Direction::Response => self.hooks.response_body,
        }
    }

    fn sees_trailers(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.hooks.request_trailers,
            Direction::Response => self.hooks.response_trailers,
        }
    }
}

/// Whether a plugin has seen what it let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Yes,
    No,
}

/// In the last body callback a plugin may add trailers.
fn has_trailers(place: &Place<'_>) -> bool {
    match place.direction {
        Direction::Request => place.exchange.request_trailers.is_some(),
        Direction::Response => {
            place.exchange.response.as_ref().is_some_and(|head| head.trailers.is_some())
        }
    }
}

/// One after the other; the first one's memory grows where nobody else holds it.
pub(crate) fn join(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    if second.is_empty() {
        return first;
    }
    let mut joined = BytesMut::from(first);
    joined.extend_from_slice(&second);
    joined.freeze()
}
