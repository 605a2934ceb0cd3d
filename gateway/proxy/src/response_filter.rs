//! A reply whose plugins hold it, or want more of it than its head.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use portcullis_exchange::Exchange;
use portcullis_message::{Body, Reply};
use portcullis_wasm::{Action, Direction, EndOfStream};

use crate::flight::Flight;
use crate::flow::Flow;
use crate::flow_step::FlowStep;
use crate::in_time::in_time;
use crate::native_filters::show_own_body;
use crate::reply_head::{finish_head, take_own_reply};
use crate::response_body::{Deadline, Source};
use crate::running::Chain;
use crate::steps::{Passed, pass_reply_head};
use crate::stop::Stop;
use crate::{ProxyError, ResponseBody, reply_for};

/// A response, at once or later.
pub(crate) enum Responded {
    Now(Response<ResponseBody>),
    /// A plugin holds its head.
    Later(Box<ReplyFilter>),
}

/// Has a reply's head pass the plugins that saw the request, in reverse order.
pub(crate) fn filter_reply(flight: Flight, source: Source) -> Responded {
    let Some(chain) = flight.chain.clone().filter(|_| !flight.steps.is_empty()) else {
        return Responded::Now(finish_head(flight, source));
    };
    let position = flight.steps.0.len();
    let mut filter =
        ReplyFilter { flight, source, chain, position, unseen: position, waiting: None };
    filter.advance();
    match filter.waiting {
        Some(_) => Responded::Later(Box::new(filter)),
        None => Responded::Now(filter.finish_now()),
    }
}

/// A reply on its way through plugins.
pub(crate) struct ReplyFilter {
    flight: Flight,
    source: Source,
    chain: Chain,
    /// The running steps from here on have seen the reply's head; or one that it took the place of.
    position: usize,
    /// Those of them from here on take no part in its body.
    unseen: usize,
    waiting: Option<Waiting>,
}

/// What a reply waits for.
#[derive(Clone, Copy)]
enum Waiting {
    /// For the step at `position`, which holds its head in this way.
    Head(Action),
    /// For the first of its body that comes out: its length is known, and may get another.
    First,
}

impl ReplyFilter {
    /// Awaits that every plugin lets it go.
    pub(crate) async fn finish(mut self: Box<Self>) -> Response<ResponseBody> {
        while let Some(waiting) = self.waiting.take() {
            let waited = match waiting {
                Waiting::Head(action) => self.await_head(action).await,
                Waiting::First => self.await_first().await,
            };
            if let Err(stop) = waited {
                self.stop(stop);
            }
            self.advance();
        }
        self.finish_now()
    }

    /// As far as it comes at once.
    fn advance(&mut self) {
        loop {
            self.pass_head();
            if self.waiting.is_some() {
                return;
            }
            match self.start_flow() {
                Ok(waiting) => {
                    self.waiting = waiting;
                    return;
                }
                Err(stop) => self.stop(stop),
            }
        }
    }

    /// The body's way through the plugins, where any of them wants to see it.
    fn start_flow(&mut self) -> Result<Option<Waiting>, Stop> {
        let starts = self.flight.wants_response_body() && self.end() == EndOfStream::No;
        if !starts && self.flight.response_flow.is_none() {
            return Ok(None);
        }
        self.take_steps(None)?;
        let known = self.source.size_hint().exact().is_some_and(|length| length > 0);
        let Flight { response_flow: Some(flow), exchange, .. } = &mut self.flight else {
            return Ok(None);
        };
        if !known || !flow.may_alter() {
            return Ok(None);
        }
        // Most often it has come with the head; otherwise whoever waits asks again.
        let cx = &mut Context::from_waker(Waker::noop());
        match flow.poll_first(cx, exchange, &mut self.source) {
            Poll::Ready(first) => first.map(|()| None),
            Poll::Pending => Ok(Some(Waiting::First)),
        }
    }

    /// Up to a plugin that holds it.
    fn pass_head(&mut self) {
        loop {
            let end = self.end();
            let flight = &mut self.flight;
            match pass_reply_head(flight, &self.chain, &mut self.position, end) {
                Ok(Passed::All) => return,
                Ok(Passed::Held(action)) => {
                    self.waiting = Some(Waiting::Head(action));
                    return;
                }
                Ok(Passed::Reply(reply)) => self.replace(reply),
                Ok(Passed::Added(bytes)) => self.add_body(bytes),
                Err(error) => self.stop(error.into()),
            }
        }
    }

    /// Until the plugin that holds the head lets it go.
    async fn await_head(&mut self, action: Action) -> Result<(), Stop> {
        self.take_steps(Some(action))?;
        self.await_flow(|flow, cx, exchange, source| flow.poll_head(cx, exchange, source)).await
    }

    async fn await_first(&mut self) -> Result<(), Stop> {
        self.await_flow(|flow, cx, exchange, source| flow.poll_first(cx, exchange, source)).await
    }

    /// No longer than the route's timeout.
    async fn await_flow(
        &mut self,
        mut poll: impl FnMut(
            &mut Flow,
            &mut Context<'_>,
            &mut Box<Exchange>,
            &mut Source,
        ) -> Poll<Result<(), Stop>>,
    ) -> Result<(), Stop> {
        let progress = self.flight.progress.clone();
        let upload = self.flight.pump.as_ref().map(|pump| pump.watch());
        let timeout = self.flight.timeout.take().filter(|_| self.source.is_upstream());
        let mut deadline = timeout.map(Deadline::new);
        let waiting = poll_fn(|cx| {
            if deadline.as_mut().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
                return Poll::Ready(Err(ProxyError::UpstreamTimeout.into()));
            }
            let Flight { response_flow, exchange, .. } = &mut self.flight;
            let Some(flow) = response_flow else { return Poll::Ready(Ok(())) };
            poll(flow, cx, exchange, &mut self.source)
        });
        let result = in_time::<(), Stop>(&progress, upload, pin!(waiting)).await;
        self.flight.timeout = deadline.map(Deadline::into_timeout);
        self.flight.bring_back();
        result
    }

    /// Takes the plugins that the head has passed since into the flow.
    fn take_steps(&mut self, held: Option<Action>) -> Result<(), Stop> {
        let worker = self.flight.worker.clone();
        let flow = self.flight.response_flow.take();
        let mut flow = flow.unwrap_or_else(|| Box::new(Flow::new(worker, Direction::Response)));
        for position in (self.position..self.unseen).rev() {
            let Some(running) = self.flight.steps.0.get(position) else { break };
            let (instance, stream) = (running.instance.clone(), running.stream);
            let step = FlowStep::new(instance, stream, self.chain.clone(), running.index);
            let step = match held {
                Some(action) if position == self.position => step.holding_head(action),
                _ => step,
            };
            flow.add_step(&mut self.flight.exchange, step)?;
        }
        self.unseen = self.position;
        self.flight.response_flow = Some(flow);
        Ok(())
    }

    fn finish_now(mut self) -> Response<ResponseBody> {
        let flow = self.flight.response_flow.take();
        self.flight.response_flow = flow.filter(|flow| flow.has_work());
        finish_head(self.flight, self.source)
    }

    fn stop(&mut self, stop: Stop) {
        self.flight.bring_back();
        match stop.reply(&mut self.flight.exchange) {
            Ok(reply) => self.replace(reply),
            Err(error) => {
                let mut reply = reply_for(&error, &mut self.flight.exchange);
                show_own_body(&self.flight, &mut reply);
                self.replace(reply);
            }
        }
    }

    /// The plugins that are left see this reply; the others have seen another.
    fn replace(&mut self, reply: Reply) {
        self.source = take_own_reply(&mut self.flight, reply);
        self.flight.response_flow = None;
        self.unseen = self.position;
    }

    fn add_body(&mut self, bytes: Bytes) {
        self.source = Source::Reply(Body::from(bytes));
        self.flight.response_flow = None;
        self.unseen = self.position;
    }

    /// Whether the head is all, as far as plugins are told.
    fn end(&self) -> EndOfStream {
        let ended = match &self.flight.response_flow {
            Some(flow) => flow.is_ended(),
            None => self.source.is_end_stream(),
        };
        let status = self.flight.exchange.response.as_ref().map(|head| head.status);
        let bodiless = matches!(status, Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
            || self.flight.exchange.request.method == Method::HEAD;
        if ended || bodiless { EndOfStream::Yes } else { EndOfStream::No }
    }
}
