//! One exchange through a filter in this process, each callback measured; calls are answered at once.

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portcullis_exchange::{Exchange, RequestHead};
use portcullis_wasm::{
    Action, Begun, CallKind, CallReply, Direction, Effects, EndOfStream, Instance, Parked,
    PluginFault, Resumed, StreamId,
};

use crate::author_error::AuthorError;
use crate::callback_costs::CallbackCosts;
use crate::expectation::mismatches;
use crate::in_process::{InProcess, cluster, exchange};
use crate::message::{Message, header_map};
use crate::none_or::NoneOr;
use crate::sample::Sample;
use crate::suite::Response;

/// So many steps let a held exchange go on; more is no end.
const MOST_STEPS: usize = 256;
/// Nobody answers: what stands for the reply of a call whose time is up.
const GRPC_UNAVAILABLE: u32 = 14;

/// Whether the exchange goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Onward {
    Goes,
    /// The filter answered, or broke it off.
    Ends,
}

/// Sends the sample through the filter once.
///
/// # Errors
/// The filter fails, or holds the exchange and nothing that is scripted lets it go on.
pub(crate) fn measure(
    filter: &InProcess,
    sample: &Sample,
    costs: &mut CallbackCosts,
) -> Result<(), AuthorError> {
    let instance = filter.instance()?;
    let stream = instance.open_stream();
    let exchange = exchange(sample.request.clone());
    let mut run = Run { filter, sample, instance, stream, exchange, costs };
    let mut passed = run.request();
    if let Ok(Onward::Goes) = passed {
        run.exchange.response = Some(sample.response.clone());
        passed = run.response();
    }
    run.measured("end", |instance, stream, exchange| instance.close_stream(stream, exchange));
    while run.answer_next() {}
    passed.map(drop)
}

struct Run<'a> {
    filter: &'a InProcess,
    sample: &'a Sample,
    instance: Rc<Instance>,
    stream: StreamId,
    exchange: Box<Exchange>,
    costs: &'a mut CallbackCosts,
}

impl Run<'_> {
    fn request(&mut self) -> Result<Onward, AuthorError> {
        let body = self.sample.request_body.clone();
        let end = if body.is_some() { EndOfStream::No } else { EndOfStream::Yes };
        let name = "proxy_on_request_headers";
        let said = self
            .measured(name, |at, stream, exchange| at.on_request_headers(stream, exchange, end));
        let onward = self.follow(Direction::Request, name, said, Bytes::new())?;
        let wants = self.filter.plugin.module().hooks().request_body;
        let Some(body) = body.filter(|_| wants && onward == Onward::Goes) else {
            return Ok(onward);
        };
        let (name, held) = ("proxy_on_request_body", body.clone());
        let said = self.measured(name, |at, stream, exchange| {
            at.on_request_body(stream, exchange, body, EndOfStream::Yes)
        });
        self.follow(Direction::Request, name, said, held)
    }

    fn response(&mut self) -> Result<Onward, AuthorError> {
        let body = self.sample.response_body.clone();
        let end = if body.is_some() { EndOfStream::No } else { EndOfStream::Yes };
        let name = "proxy_on_response_headers";
        let said = self
            .measured(name, |at, stream, exchange| at.on_response_headers(stream, exchange, end));
        let onward = self.follow(Direction::Response, name, said, Bytes::new())?;
        let wants = self.filter.plugin.module().hooks().response_body;
        let Some(body) = body.filter(|_| wants && onward == Onward::Goes) else {
            return Ok(onward);
        };
        let (name, held) = ("proxy_on_response_body", body.clone());
        let said = self.measured(name, |at, stream, exchange| {
            at.on_response_body(stream, exchange, body, EndOfStream::Yes)
        });
        self.follow(Direction::Response, name, said, held)
    }

    /// What a callback asked for.
    fn follow(
        &mut self,
        direction: Direction,
        name: &str,
        said: Result<Effects, PluginFault>,
        held: Bytes,
    ) -> Result<Onward, AuthorError> {
        let effects =
            said.map_err(|fault| AuthorError::Failure(format!("{name} failed: {fault}")))?;
        match effects.action {
            _ if effects.reply.is_some() => Ok(Onward::Ends),
            Action::Close => Ok(Onward::Ends),
            Action::Continue | Action::Discard => Ok(Onward::Goes),
            _ => self.hold(direction, name, effects.body.unwrap_or(held)),
        }
    }

    /// Waits until the filter lets the exchange go on, with what it waits for.
    fn hold(
        &mut self,
        direction: Direction,
        name: &str,
        body: Bytes,
    ) -> Result<Onward, AuthorError> {
        let lent = std::mem::replace(&mut self.exchange, exchange(RequestHead::default()));
        let parked = Parked { exchange: Some(lent), body, body_changed: false };
        self.instance.park(self.stream, direction, parked);
        let resumed = self.until_resumed(direction);
        let parked = self.instance.unpark(self.stream, direction);
        if let Some(lent) = parked.and_then(|parked| parked.exchange) {
            self.exchange = lent;
        }
        match resumed {
            Some(Resumed::Continue) => Ok(Onward::Goes),
            Some(Resumed::Reply(_) | Resumed::Close) => Ok(Onward::Ends),
            Some(Resumed::Failed) => Err(AuthorError::Failure(format!(
                "the filter failed while it held the exchange in {name}; `portcullis plugin test` says how"
            ))),
            None => Err(AuthorError::Failure(format!(
                "{name} holds the exchange, and nothing is under way that would let it go on"
            ))),
        }
    }

    fn until_resumed(&mut self, direction: Direction) -> Option<Resumed> {
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..MOST_STEPS {
            if let Poll::Ready(resumed) = self.instance.poll_resumed(self.stream, direction, &cx) {
                return Some(resumed);
            }
            if self.answer_next() {
                continue;
            }
            // It waits for a time that it has set.
            let due = self.filter.worker.next_tick()?;
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            self.measured("proxy_on_tick", |instance, _, _| instance.on_tick());
        }
        None
    }

    /// Answers one call; whether there was one.
    fn answer_next(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(begun) = pin!(self.filter.worker.next_call()).poll(&mut cx) else {
            return false;
        };
        // Else ticks or queues were set.
        if let Some(begun) = begun {
            self.answer(&begun);
        }
        true
    }

    fn answer(&mut self, begun: &Begun) {
        let Some(caller) = begun.caller.upgrade() else { return };
        let id = begun.call.id;
        match begun.call.kind {
            CallKind::Http => {
                let reply = self.reply_to(begun);
                self.measured("proxy_on_http_call_response", |_, _, _| {
                    caller.on_http_call_response(id, reply);
                });
            }
            CallKind::GrpcUnary | CallKind::GrpcStream => {
                self.measured("proxy_on_grpc_close", |_, _, _| {
                    caller.on_grpc_close(id, GRPC_UNAVAILABLE, Bytes::new());
                });
            }
        }
    }

    /// The first answer that fits; a service that is silent has let the time pass.
    fn reply_to(&self, begun: &Begun) -> CallReply {
        let call = &begun.call;
        let asked = Message {
            method: Some(call.method.to_string()),
            path: Some(call.path.to_string()),
            status: None,
            headers: call.headers.clone(),
            body: call.body.clone(),
        };
        let fits = self.sample.calls.iter().find(|scripted| {
            cluster(&scripted.cluster) == call.cluster
                && mismatches(&scripted.expect, &asked).is_empty()
        });
        match fits.map(|scripted| scripted.answer.clone()) {
            None => plain_reply(StatusCode::INTERNAL_SERVER_ERROR),
            Some(Some(NoneOr::None)) => plain_reply(StatusCode::GATEWAY_TIMEOUT),
            Some(None) => scripted_reply(&Response::default()),
            Some(Some(NoneOr::This(response))) => scripted_reply(&response),
        }
    }

    fn measured<T>(
        &mut self,
        callback: &'static str,
        run: impl FnOnce(&Instance, StreamId, &mut Box<Exchange>) -> T,
    ) -> T {
        let fuel = |instance: &Instance| instance.consumption().and_then(|used| used.fuel);
        let before = fuel(&self.instance);
        let begun = Instant::now();
        let result = run(&self.instance, self.stream, &mut self.exchange);
        let took: Duration = begun.elapsed();
        match before.zip(fuel(&self.instance)) {
            Some((before, after)) => self.costs.add_fuel(callback, after.saturating_sub(before)),
            None => self.costs.add_time(callback, took),
        }
        result
    }
}

fn scripted_reply(response: &Response) -> CallReply {
    CallReply {
        status: StatusCode::from_u16(response.status).unwrap_or_default(),
        headers: header_map(&response.headers).unwrap_or_default(),
        body: Bytes::from(response.body.texts().concat()),
        trailers: HeaderMap::new(),
    }
}

fn plain_reply(status: StatusCode) -> CallReply {
    CallReply { status, headers: HeaderMap::new(), body: Bytes::new(), trailers: HeaderMap::new() }
}
