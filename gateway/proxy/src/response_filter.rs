//! A reply whose plugins hold it, or want more of it than its head.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use portcullis_message::{Body, Reply};
use portcullis_wasm::{Action, Direction, EndOfStream};

use crate::flight::Flight;
use crate::flow::Flow;
use crate::flow_step::FlowStep;
use crate::in_time::in_time;
use crate::respond::{finish_head, take_own_reply};
use crate::response_body::{Deadline, Source};
use crate::steps::{Chain, Passed, pass_reply_head};
use crate::stop::Stop;
use crate::{ProxyError, ResponseBody, reply_for};

/// A response, at once or later.
#[expect(
    clippy::large_enum_variant,
    reason = "a response is as large, and a box would cost an allocation"
)]
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
    let mut filter = ReplyFilter { flight, source, chain, position, unseen: position, held: None };
    filter.pass_head();
    match filter.held {
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
    /// How the step at `position` holds it.
    held: Option<Action>,
}

impl ReplyFilter {
    /// Awaits that every plugin lets it go.
    pub(crate) async fn finish(mut self: Box<Self>) -> Response<ResponseBody> {
        while let Some(action) = self.held.take() {
            if let Err(stop) = self.await_head(action).await {
                self.stop(stop);
            }
            self.pass_head();
        }
        self.finish_now()
    }

    /// Up to a plugin that holds it.
    fn pass_head(&mut self) {
        loop {
            let end = self.end();
            let flight = &mut self.flight;
            match pass_reply_head(flight, &self.chain, &mut self.position, end) {
                Ok(Passed::All) => return,
                Ok(Passed::Held(action)) => {
                    self.held = Some(action);
                    return;
                }
                Ok(Passed::Reply(reply)) => self.replace(reply),
                Ok(Passed::Added(bytes)) => self.add_body(bytes),
                Err(error) => self.stop(error.into()),
            }
        }
    }

    /// Until the plugin that holds the head lets it go, and no longer than the route's timeout.
    async fn await_head(&mut self, action: Action) -> Result<(), Stop> {
        self.take_steps(Some(action))?;
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
            flow.poll_head(cx, exchange, &mut self.source)
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
        let wants_body = self.flight.wants_response_body();
        let starts_flow = wants_body && self.end() == EndOfStream::No;
        if starts_flow || self.flight.response_flow.is_some() {
            if let Err(stop) = self.take_steps(None) {
                self.stop(stop);
            }
        }
        let flow = self.flight.response_flow.take();
        self.flight.response_flow = flow.filter(|flow| flow.has_work());
        finish_head(self.flight, self.source)
    }

    fn stop(&mut self, stop: Stop) {
        self.flight.bring_back();
        match stop.reply(&mut self.flight) {
            Ok(reply) => self.replace(reply),
            Err(error) => {
                let reply = reply_for(&error, &mut self.flight.exchange);
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
