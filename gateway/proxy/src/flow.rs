//! The body and the trailers of one message on their way through its plugins.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use portcullis_exchange::{Exchange, RequestHead};
use portcullis_message::{BodyError, http1::is_forbidden_trailer};
use portcullis_wasm::{Direction, Parked, Resumed};
use smallvec::SmallVec;

use crate::flow_step::{BUFFER_LIMIT, FlowStep, Hold, Others, Piece, Place, Seen, Then};
use crate::laps::Laps;
use crate::stop::Stop;
use crate::{ProxyError, Worker};

/// A message on its way through plugins. No more of it is read than is asked for, and nothing is kept unless a
/// plugin holds it.
///
/// While a plugin holds it, the exchange lies with that plugin's instance, where callbacks of other contexts find
/// it; whoever ends the flow early [takes it back](Self::bring_back).
pub(crate) struct Flow {
    worker: Rc<Worker>,
    direction: Direction,
    /// In the order in which the message passes them.
    steps: SmallVec<[FlowStep; 2]>,
    /// What has come out, in order: a piece at a time, most often.
    out: SmallVec<[Bytes; 1]>,
    /// What comes after what is out.
    then: Then,
    /// The source has nothing more.
    source_ended: bool,
    /// Something of the source was read.
    touched: bool,
    parked: bool,
    /// What stands in the record's place meanwhile.
    blank: Option<Box<Exchange>>,
}

/// What comes out of a flow.
#[derive(Debug)]
pub(crate) enum Out {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Flow {
    /// A flow without plugins.
    pub(crate) fn new(worker: Rc<Worker>, direction: Direction) -> Self {
        Flow {
            worker,
            direction,
            steps: SmallVec::new(),
            out: SmallVec::new(),
            then: Then::More,
            source_ended: false,
            touched: false,
            parked: false,
            blank: None,
        }
    }

    /// The next of what comes out, reading `body` as far as that takes.
    pub(crate) fn poll_next<B>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
        body: &mut B,
    ) -> Poll<Result<Out, Stop>>
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
    {
        self.unpark(exchange);
        loop {
            if let Some(out) = self.take_out(exchange) {
                return Poll::Ready(Ok(out));
            }
            if self.poll_step(cx, exchange, body)?.is_pending() {
                self.park(exchange);
                return Poll::Pending;
            }
        }
    }

    /// Until the last plugin lets the head go on.
    pub(crate) fn poll_head<B>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
        body: &mut B,
    ) -> Poll<Result<(), Stop>>
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
    {
        self.unpark(exchange);
        while self.steps.last().is_some_and(|step| step.holds_head) {
            if self.poll_step(cx, exchange, body)?.is_pending() {
                self.park(exchange);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a plugin that holds the message ends it, while nobody asks for more.
    pub(crate) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
    ) -> Poll<Stop> {
        self.unpark(exchange);
        loop {
            match self.poll_resumed(cx, exchange) {
                Poll::Pending => {
                    self.park(exchange);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(stop)) => return Poll::Ready(stop),
            }
        }
    }

    /// Until something has come out, or all has.
    pub(crate) fn poll_first<B>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
        body: &mut B,
    ) -> Poll<Result<(), Stop>>
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
    {
        self.unpark(exchange);
        while self.out.is_empty() && self.then == Then::More {
            if self.poll_step(cx, exchange, body)?.is_pending() {
                self.park(exchange);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A further plugin, which gets what has come out so far.
    pub(crate) fn add_step(
        &mut self,
        exchange: &mut Box<Exchange>,
        step: FlowStep,
    ) -> Result<(), Stop> {
        let index = self.steps.len();
        self.steps.push(step);
        let out = std::mem::take(&mut self.out);
        for data in out {
            self.deliver(exchange, index, Piece { data, then: Then::More })?;
        }
        match std::mem::take(&mut self.then) {
            Then::More => Ok(()),
            then => self.deliver(exchange, index, Piece { data: Bytes::new(), then }),
        }
    }

    /// Whether any plugin wants more of the message than its head, or has held some of it.
    pub(crate) fn has_work(&self) -> bool {
        self.source_ended
            || !self.out.is_empty()
            || self.steps.iter().any(|step| step.wants_rest(self.direction))
    }

    /// Whether the body may come out with another length.
    pub(crate) fn may_alter(&self) -> bool {
        self.steps.iter().any(|step| step.may_alter(self.direction) || step.altered)
    }

    /// The whole message, where nothing of it is to come any more.
    pub(crate) fn take_whole(
        &mut self,
        exchange: &mut Box<Exchange>,
    ) -> Option<(Bytes, Option<HeaderMap>)> {
        if self.then == Then::More {
            return None;
        }
        let trailers = (self.then == Then::Trailers).then(|| self.take_trailers(exchange));
        self.then = Then::End;
        let mut out = std::mem::take(&mut self.out).into_iter();
        let first = out.next().unwrap_or_default();
        Some((out.fold(first, |all, more| [all, more].concat().into()), trailers))
    }

    /// The length of what is to come, where all of it is here.
    pub(crate) fn whole_length(&self) -> Option<u64> {
        (self.then == Then::End).then(|| self.out.iter().map(|data| data.len() as u64).sum())
    }

    /// Whether the length of the source is that of what comes out.
    pub(crate) fn keeps_length(&self) -> bool {
        !self.touched && !self.may_alter()
    }

    /// Whether anything of the source was read.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    /// Whether nothing more comes out.
    pub(crate) fn is_ended(&self) -> bool {
        self.out.is_empty() && self.then == Then::End
    }

    /// Takes the exchange back for good, from the instance with which it was left or that works on it.
    pub(crate) fn bring_back(&mut self, exchange: &mut Box<Exchange>) {
        self.unpark(exchange);
        for step in self.steps.iter().filter(|step| step.runs()) {
            step.instance.break_off(self.direction, exchange);
        }
    }

    fn unpark(&mut self, exchange: &mut Box<Exchange>) {
        if !std::mem::take(&mut self.parked) {
            return;
        }
        for step in self.steps.iter_mut().filter(|step| step.hold != Hold::Nothing) {
            let Some(parked) = step.instance.unpark(step.stream, self.direction) else { continue };
            if let Some(record) = parked.exchange {
                self.blank = Some(std::mem::replace(exchange, record));
            }
            step.held.data = parked.body;
            step.altered |= parked.body_changed;
        }
    }

    /// Leaves the exchange with the plugin that holds the message, if any.
    pub(crate) fn park(&mut self, exchange: &mut Box<Exchange>) {
        if self.steps.iter().any(FlowStep::runs) {
            // Its guest has it.
            return;
        }
        let direction = self.direction;
        let mut held = self.steps.iter_mut().filter(|step| step.hold != Hold::Nothing);
        // The last one has held it for the longest.
        let Some(last) = held.next_back() else { return };
        let blank = self.blank.take().unwrap_or_else(|| {
            let connection = exchange.connection.clone();
            Box::new(Exchange::new(connection, RequestHead::default()))
        });
        let mut record = Some(std::mem::replace(exchange, blank));
        for step in [last].into_iter().chain(held) {
            let body = std::mem::take(&mut step.held.data);
            let parked = Parked { exchange: record.take(), body, body_changed: false };
            step.instance.park(step.stream, direction, parked);
        }
        self.parked = true;
    }

    /// Does what can be done next; pending where that is nothing.
    fn poll_step<B>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
        body: &mut B,
    ) -> Poll<Result<(), Stop>>
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
    {
        if self.poll_resumed(cx, exchange)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !self.wants_input() {
            return Poll::Pending;
        }
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { return Poll::Pending };
        let piece = match frame {
            None => Piece { data: Bytes::new(), then: Then::End },
            Some(Err(error)) => return Poll::Ready(Err(self.broken(&error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if body.is_end_stream() => Piece { data, then: Then::End },
                Ok(data) => Piece { data, then: Then::More },
                Err(frame) => self.take_in_trailers(exchange, frame),
            },
        };
        self.touched = true;
        self.source_ended = piece.then != Then::More;
        Poll::Ready(self.deliver(exchange, 0, piece))
    }

    /// Whether a plugin that holds the message lets it go, or ends it.
    fn poll_resumed(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
    ) -> Poll<Result<(), Stop>> {
        if let Some(index) = self.steps.iter().position(FlowStep::runs) {
            return self.poll_slow(cx, exchange, index);
        }
        for index in 0..self.steps.len() {
            let Some(step) = self.steps.get_mut(index) else { break };
            if step.hold == Hold::Nothing {
                continue;
            }
            match step.instance.poll_resumed(step.stream, self.direction, cx) {
                Poll::Pending => continue,
                Poll::Ready(Resumed::Continue) => {}
                Poll::Ready(Resumed::Reply(reply)) => {
                    return Poll::Ready(Err(Stop::Reply(reply)));
                }
                Poll::Ready(Resumed::Close) => return Poll::Ready(Err(step.closed())),
                Poll::Ready(Resumed::Failed) => step.fail()?,
            }
            let (piece, seen) = step.let_go();
            let next = if seen == Seen::Yes { index + 1 } else { index };
            return Poll::Ready(self.deliver(exchange, next, piece));
        }
        Poll::Pending
    }

    /// Goes on with the callback of this plugin. Nothing else moves meanwhile: the guest has the exchange.
    fn poll_slow(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Box<Exchange>,
        index: usize,
    ) -> Poll<Result<(), Stop>> {
        let (direction, others) = (self.direction, Others::HoldNothing);
        let mut place =
            Place { worker: &self.worker, exchange, direction, others, laps: Laps::default() };
        let Some(step) = self.steps.get_mut(index) else { return Poll::Pending };
        let Poll::Ready(piece) = step.poll_slow(cx, &mut place) else { return Poll::Pending };
        Poll::Ready(self.deliver(exchange, index + 1, piece?))
    }

    /// Has a piece pass the plugins from this one on.
    fn deliver(
        &mut self,
        exchange: &mut Box<Exchange>,
        from: usize,
        mut piece: Piece,
    ) -> Result<(), Stop> {
        let (direction, others) = (self.direction, Others::HoldNothing);
        let mut place =
            Place { worker: &self.worker, exchange, direction, others, laps: Laps::default() };
        let holding = self.steps.iter().filter(|step| step.hold != Hold::Nothing).count();
        for step in self.steps.iter_mut().skip(from) {
            if piece.data.is_empty() && piece.then == Then::More {
                return Ok(());
            }
            let by_others = holding - usize::from(step.hold != Hold::Nothing).min(holding);
            place.others = if by_others > 0 { Others::Hold } else { Others::HoldNothing };
            piece = step.pass(&mut place, piece)?;
        }
        if !piece.data.is_empty() {
            self.out.push(piece.data);
        }
        self.then = piece.then;
        Ok(())
    }

    fn take_out(&mut self, exchange: &mut Exchange) -> Option<Out> {
        if !self.out.is_empty() {
            return Some(Out::Data(self.out.remove(0)));
        }
        match self.then {
            Then::More => None,
            Then::Trailers => {
                self.then = Then::End;
                Some(Out::Trailers(self.take_trailers(exchange)))
            }
            Then::End => Some(Out::End),
        }
    }

    fn wants_input(&self) -> bool {
        let full = |step: &FlowStep| match step.hold {
            Hold::Nothing | Hold::Body => false,
            Hold::Everything | Hold::Runs(_) => true,
            Hold::Reading => step.held.data.len() >= BUFFER_LIMIT,
        };
        self.out.is_empty() && !self.source_ended && !self.steps.iter().any(full)
    }

    fn take_in_trailers(&self, exchange: &mut Exchange, frame: Frame<Bytes>) -> Piece {
        let trailers = frame.into_trailers().unwrap_or_default();
        match self.direction {
            Direction::Request => exchange.request_trailers = Some(trailers),
            Direction::Response => {
                if let Some(head) = &mut exchange.response {
                    head.trailers = Some(trailers);
                }
            }
        }
        Piece { data: Bytes::new(), then: Then::Trailers }
    }

    /// Plugins may add some that no client could send.
    fn take_trailers(&self, exchange: &mut Exchange) -> HeaderMap {
        let trailers = match self.direction {
            Direction::Request => exchange.request_trailers.take(),
            Direction::Response => exchange.response.as_mut().and_then(|head| head.trailers.take()),
        };
        let trailers = trailers.unwrap_or_default();
        let allowed = trailers.iter().filter(|(name, _)| !is_forbidden_trailer(name));
        allowed.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn broken(&self, error: &BodyError) -> Stop {
        match (self.direction, error) {
            (Direction::Request, BodyError::TooLarge) => ProxyError::RequestTooLarge.into(),
            (Direction::Request, _) => ProxyError::RequestBodyBroken.into(),
            (Direction::Response, error) => {
                ProxyError::UpstreamTermination(error.to_string()).into()
            }
        }
    }
}
