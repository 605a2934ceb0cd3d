//! The plugins that the bytes of a connection pass, and what they hold of it.

use std::task::{Context, Poll};

use portcullis_exchange::Exchange;
use portcullis_snapshot::Chain;
use portcullis_wasm::{ClosedBy, Direction};

use crate::Worker;
use crate::tcp_step::{Sifted, Stopped, TcpStep};

/// What a plugin may hold of one direction, in bytes; no more is read meanwhile.
const HELD_LIMIT: usize = 1 << 20;

/// The plugins of one connection. While one of them holds something, the record lies with its instance, where
/// callbacks of other contexts find it; whoever needs it [takes it back](Self::bring_back).
pub(crate) struct TcpFilters {
    chain: Chain,
    /// Those that have seen the connection, in the order of the chain.
    steps: Vec<TcpStep>,
    parked: bool,
    /// What stands in the record's place meanwhile.
    blank: Option<Box<Exchange>>,
    upstream: Upstream,
}

/// What plugins know of the connection to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upstream {
    None,
    Open,
    Closed,
}

impl TcpFilters {
    /// None of them has seen the connection yet.
    pub(crate) fn new(chain: Chain) -> Self {
        TcpFilters {
            chain,
            steps: Vec::new(),
            parked: false,
            blank: None,
            upstream: Upstream::None,
        }
    }

    /// Has each plugin see the new connection; pending while one of them holds it.
    pub(crate) fn poll_begin(
        &mut self,
        worker: &Worker,
        exchange: &mut Box<Exchange>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        self.bring_back(exchange);
        loop {
            if let Some(last) = self.steps.last_mut()
                && last.holds(Direction::Request)
                && last.poll_released(Direction::Request, cx)?.is_pending()
            {
                self.park(exchange);
                return Poll::Pending;
            }
            let next = self.steps.last().map_or(0, |step| step.index() + 1);
            let Some(step) = self.chain.get(next..).and_then(|rest| {
                rest.iter().zip(next..).find_map(|(step, index)| {
                    TcpStep::begin(worker, exchange, step.plugin()?, index).transpose()
                })
            }) else {
                return Poll::Ready(Ok(()));
            };
            self.steps.push(step?);
        }
    }

    /// There is a connection to the upstream.
    pub(crate) fn upstream_opened(&mut self) {
        self.upstream = Upstream::Open;
    }

    /// The upstream has sent its last byte, or is to get none any more.
    pub(crate) fn upstream_closed(&mut self, exchange: &mut Box<Exchange>, by: ClosedBy) {
        if self.upstream != Upstream::Open {
            return;
        }
        self.upstream = Upstream::Closed;
        for step in &self.steps {
            step.upstream_closed(exchange, by);
        }
    }

    /// The connection is over: what plugins are told of its end.
    pub(crate) fn end(&mut self, exchange: &mut Box<Exchange>, by: Ends) {
        self.bring_back(exchange);
        self.upstream_closed(exchange, by.upstream);
        for step in self.steps.drain(..) {
            step.end(exchange, by.downstream);
        }
    }

    /// Has bytes pass all plugins: what comes out.
    pub(crate) fn sift(
        &mut self,
        place: (&Worker, &mut Box<Exchange>),
        direction: Direction,
        piece: Sifted,
    ) -> Result<Sifted, Stopped> {
        self.sift_from(0, place, direction, piece)
    }

    /// What a plugin that held something lets go of, as it comes out; pending where there is nothing.
    pub(crate) fn poll_released(
        &mut self,
        place: (&Worker, &mut Box<Exchange>),
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sifted, Stopped>> {
        for position in 0..self.steps.len() {
            let Some(step) = self.step_mut(direction, position) else { break };
            if !step.holds(direction) {
                continue;
            }
            if let Poll::Ready(released) = step.poll_released(direction, cx)? {
                return Poll::Ready(self.sift_from(position + 1, place, direction, released));
            }
        }
        Poll::Pending
    }

    /// Whether more is to be read in a direction.
    pub(crate) fn takes_more(&self, direction: Direction) -> bool {
        self.steps.iter().all(|step| step.held_bytes(direction) < HELD_LIMIT)
    }

    /// Takes the record back from the instance with which it was left.
    pub(crate) fn bring_back(&mut self, exchange: &mut Box<Exchange>) {
        if !std::mem::take(&mut self.parked) {
            return;
        }
        for step in &mut self.steps {
            if let Some(record) = step.bring_back() {
                self.blank = Some(std::mem::replace(exchange, record));
            }
        }
    }

    /// Leaves the record with a plugin that holds something, if any.
    pub(crate) fn park(&mut self, exchange: &mut Box<Exchange>) {
        let mut holding = self.steps.iter_mut().filter(|step| step.holds_any()).peekable();
        if holding.peek().is_none() {
            return;
        }
        let blank = self.blank.take();
        let blank =
            blank.unwrap_or_else(|| Box::new(Exchange::of_connection(exchange.connection.clone())));
        let mut record = Some(std::mem::replace(exchange, blank));
        for step in holding {
            step.park(&mut record);
        }
        self.parked = true;
    }

    fn sift_from(
        &mut self,
        first: usize,
        (worker, exchange): (&Worker, &mut Box<Exchange>),
        direction: Direction,
        mut piece: Sifted,
    ) -> Result<Sifted, Stopped> {
        for position in first..self.steps.len() {
            if piece.is_nothing() {
                break;
            }
            let Some(step) = self.step_mut(direction, position) else { break };
            piece = step.pass(worker, exchange, direction, piece)?;
        }
        Ok(piece)
    }

    /// In the order in which bytes of this direction pass them.
    fn step_mut(&mut self, direction: Direction, position: usize) -> Option<&mut TcpStep> {
        match direction {
            Direction::Request => self.steps.get_mut(position),
            Direction::Response => self.steps.iter_mut().nth_back(position),
        }
    }
}

/// Who ended which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) downstream: ClosedBy,
    pub(crate) upstream: ClosedBy,
}
