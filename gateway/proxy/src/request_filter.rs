//! A request whose plugins want more of it than its head, or hold it: it waits, and its body passes through them on
//! its way up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue, TRAILER};
use http::{HeaderMap, HeaderName};
use http_body::Body as _;
use portcullis_message::{Body, body_channel};
use portcullis_upstream::RequestProgress;
use portcullis_wasm::{Direction, EndOfStream};

use crate::ProxyError;
use crate::client_body::ClientBody;
use crate::decision::{Decision, decide_route};
use crate::flight::Flight;
use crate::flow::Flow;
use crate::flow_step::FlowStep;
use crate::in_time::in_time;
use crate::native_filters::{Passage, pass_filters, sit_out};
use crate::outbound::{hold_to_chosen_policy, most_body};
use crate::request_pump::RequestPump;
use crate::reroute::choose_again;
use crate::running::Chain;
use crate::steps::{Passed, pass_request_head};
use crate::stop::Stop;

/// Has the rest of a request pass its plugins. `passed` is how far its head came.
pub(crate) async fn filter_request(
    flight: &mut Flight,
    body: Body,
    passed: Passed,
) -> Result<Decision, ProxyError> {
    hold_to_chosen_policy(flight);
    let progress = flight.progress.clone();
    let mut filter = RequestFilter {
        flow: Flow::new(flight.worker.clone(), Direction::Request),
        flight,
        body: ClientBody::Untouched(body),
        in_flow: 0,
    };
    let waited = {
        let waiting = pin!(filter.await_turn(passed));
        in_time(&progress, None, waiting).await
    };
    let waited = match waited {
        Ok(None) => filter.pass_native().await,
        waited => waited,
    };
    match waited {
        Ok(Some(decision)) => Ok(decision),
        Ok(None) => filter.send_on(),
        Err(stop) => filter.give_up(stop),
    }
}

/// One such request.
struct RequestFilter<'f> {
    flight: &'f mut Flight,
    flow: Flow,
    body: ClientBody,
    /// How many of the running steps the flow has.
    in_flow: usize,
}

impl RequestFilter<'_> {
    /// Until the head may go up; a reply where a plugin answers.
    async fn await_turn(&mut self, mut passed: Passed) -> Result<Option<Decision>, Stop> {
        loop {
            if let Some(decision) = self.pass_head(passed).await? {
                return Ok(Some(decision));
            }
            self.await_first().await?;
            match choose_again(self.flight, self.end())? {
                None => return Ok(None),
                Some(further) => passed = further,
            }
            hold_to_chosen_policy(self.flight);
        }
    }

    /// Past the native filters of the rule that is chosen now; a reply where one answers.
    async fn pass_native(&mut self) -> Result<Option<Decision>, Stop> {
        let table = self.flight.table.clone().ok_or(ProxyError::NoRoute)?;
        match pass_filters(self.flight, &table)? {
            Passage::All => Ok(None),
            Passage::Reply(reply) => Ok(Some(Decision::Reply(reply))),
            Passage::Delayed(delay) => sit_out(self.flight, delay).await.map(|()| None),
        }
    }

    /// The plugins so far: another rule may add some.
    fn chain(&self) -> Chain {
        self.flight.chain.clone().unwrap_or_default()
    }

    /// Whether the head is all, as far as plugins are told.
    fn end(&self) -> EndOfStream {
        let ended = match self.flow.is_touched() {
            true => self.flow.is_ended(),
            false => self.body.is_end_stream(),
        };
        if ended { EndOfStream::Yes } else { EndOfStream::No }
    }

    /// Until the head has passed all plugins; a reply where one answers.
    async fn pass_head(&mut self, mut passed: Passed) -> Result<Option<Decision>, Stop> {
        let mut end = self.end();
        loop {
            match passed {
                Passed::All => {
                    self.take_steps(None)?;
                    return Ok(None);
                }
                Passed::Reply(reply) => return Ok(Some(Decision::Reply(reply))),
                Passed::Held(action) => {
                    self.take_steps(Some(action))?;
                    self.await_head().await?;
                }
                Passed::Added(bytes) => {
                    // Those before it have seen the end already.
                    self.in_flow = self.flight.steps.0.len();
                    self.body = ClientBody::Untouched(Body::from(bytes));
                    self.flight.exchange.request.headers.remove(CONTENT_LENGTH);
                    end = EndOfStream::No;
                }
            }
            let next = self.flight.steps.0.last().map_or(0, |step| step.index + 1);
            let chain = self.chain();
            passed = pass_request_head(self.flight, &chain, next, end)?;
        }
    }

    /// Takes the plugins that the head has passed since into the flow.
    fn take_steps(&mut self, held: Option<portcullis_wasm::Action>) -> Result<(), Stop> {
        let count = self.flight.steps.0.len();
        for position in self.in_flow..count {
            let Some(running) = self.flight.steps.0.get(position) else { break };
            let (instance, stream) = (running.instance.clone(), running.stream);
            let step = FlowStep::new(instance, stream, self.chain(), running.index);
            let step = match held {
                Some(action) if position + 1 == count => step.holding_head(action),
                _ => step,
            };
            self.flow.add_step(&mut self.flight.exchange, step)?;
        }
        self.in_flow = count;
        Ok(())
    }

    /// What is read from now on is counted, and held to the client's deadlines.
    fn count_body(&mut self) {
        if let Some(upload) = self.body.count(most_body(self.flight)) {
            self.flight.upload = Some(upload);
            self.flight.progress.set_upload(self.flight.upload.clone());
        }
    }

    async fn await_head(&mut self) -> Result<(), Stop> {
        self.count_body();
        let result =
            poll_fn(|cx| self.flow.poll_head(cx, &mut self.flight.exchange, &mut self.body));
        result.await
    }

    /// A body of known length that may get another: the head waits for the first of it that comes out, and so does
    /// not go up at all where a plugin refuses the body, and says the right length where the plugin keeps it whole.
    async fn await_first(&mut self) -> Result<(), Stop> {
        let known = self.body.size_hint().exact().is_some_and(|length| length > 0);
        if !known || !self.flow.may_alter() {
            return Ok(());
        }
        self.count_body();
        poll_fn(|cx| self.flow.poll_first(cx, &mut self.flight.exchange, &mut self.body)).await
    }

    /// Chooses the route by the head as it is now, and sends it with what the body has become.
    fn send_on(mut self) -> Result<Decision, ProxyError> {
        let table = self.flight.table.clone().ok_or(ProxyError::NoRoute)?;
        if let ClientBody::Untouched(body) = &mut self.body
            && (!self.flow.has_work() || body.is_end_stream())
        {
            let body = std::mem::take(body);
            return decide_route(self.flight, &table, body);
        }
        self.count_body();
        let upload = self.body.progress();
        if let Some((bytes, trailers)) = self.flow.take_whole(&mut self.flight.exchange) {
            let body = whole_body(&mut self.flight.exchange.request.headers, bytes, trailers);
            let decision = decide_route(self.flight, &table, body)?;
            return Ok(self.counted_by_client(decision, upload));
        }
        let length = if self.flow.may_alter() {
            self.flight.exchange.request.headers.remove(CONTENT_LENGTH);
            None
        } else {
            self.body.size_hint().exact()
        };
        let (sender, receiver) = body_channel(length);
        let decision = decide_route(self.flight, &table, Body::from(receiver))?;
        if let Decision::Forward(_) = &decision {
            let record = Box::new(self.flight.exchange.fork());
            let body = std::mem::take(&mut self.body);
            let flow = std::mem::replace(
                &mut self.flow,
                Flow::new(self.flight.worker.clone(), Direction::Request),
            );
            self.flight.pump = Some(RequestPump::start(flow, body, record, sender));
        }
        Ok(self.counted_by_client(decision, upload))
    }

    /// What the client sends counts, not what plugins make of it.
    fn counted_by_client(
        &mut self,
        mut decision: Decision,
        upload: Option<Arc<RequestProgress>>,
    ) -> Decision {
        if let Decision::Forward(outbound) = &mut decision {
            if let Some(request) = &mut outbound.request {
                request.body_mut().limit(u64::MAX);
            }
            self.flight.progress.set_upload(upload.clone());
            self.flight.upload = upload;
        }
        decision
    }

    fn give_up(mut self, stop: Stop) -> Result<Decision, ProxyError> {
        self.flow.bring_back(&mut self.flight.exchange);
        stop.reply(&mut self.flight.exchange).map(Decision::Reply)
    }
}

/// The record goes back to the request when its client leaves.
impl Drop for RequestFilter<'_> {
    fn drop(&mut self) {
        self.flow.bring_back(&mut self.flight.exchange);
    }
}

/// A message that is here whole. HTTP/1 sends trailers only where the head names them.
fn whole_body(headers: &mut HeaderMap, bytes: Bytes, trailers: Option<HeaderMap>) -> Body {
    let length = HeaderValue::from(bytes.len() as u64);
    let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else {
        if headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length);
        }
        return Body::from(bytes);
    };
    headers.remove(CONTENT_LENGTH);
    let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(TRAILER, names);
    }
    Body::Trailing(Box::new((Some(bytes), Some(trailers))))
}
