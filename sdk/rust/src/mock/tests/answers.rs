//! Calls, ticks and queues in the host's time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::{Answer, Host};
use super::Told::*;
use super::{CONTINUE, Module, millis};
use crate::abi::{BufferKind, MapKind};
use crate::{HostError, host};

const HEADERS: [(&str, &[u8]); 3] =
    [(":method", b"GET"), (":path", b"/check"), (":authority", b"auth.example")];

fn call(cluster: &str, timeout_ms: u32) -> u32 {
    host::http_call(cluster, &HEADERS, b"ask", &[], timeout_ms).unwrap()
}

#[test]
fn answers_come_in_the_order_of_their_time() {
    let host = Host::new();
    host.answer("slow", |_| Answer::new(200).body("slow").after(millis(20)));
    host.answer("quick", |call| {
        assert_eq!((call.method(), call.path(), call.body()), ("GET", "/check", &b"ask"[..]));
        Answer::new(204).header("x-user", "ann").trailer("t", "1").after(millis(10))
    });
    host.answer("at once", |_| Answer::new(200));
    let module = Module::start(|told| {
        match told {
            RequestHeaders(..) => {
                let (slow, quick) = (call("slow", 0), call("quick", 50));
                assert_eq!(call("at once", 0), quick + 1);
                assert_eq!(quick, slow + 1);
            }
            HttpAnswer(_, 2, ..) => {
                let user = host::header_value(MapKind::CallResponseHeaders, "x-user");
                assert_eq!(user, Ok(Some(b"ann".to_vec())));
                let trailer = host::header_value(MapKind::CallResponseTrailers, "t");
                assert_eq!(trailer, Ok(Some(b"1".to_vec())));
            }
            HttpAnswer(_, 1, 4, 0) => {
                assert_eq!(host::buffer(BufferKind::CallResponseBody, 0, 9).unwrap(), b"slow");
            }
            HttpAnswer(..) => {}
            _ => assert!(host::header_pairs(MapKind::CallResponseHeaders).is_err()),
        }
        CONTINUE
    });
    let exchange = module.request().send();
    assert!(matches!(module.told()[..], [RequestHeaders(..), HttpAnswer(_, 1, 0, 0)]));
    host.advance(millis(9));
    assert_eq!(module.told(), []);
    host.advance(millis(30));
    assert!(matches!(module.told()[..], [HttpAnswer(_, 2, 0, 1), HttpAnswer(_, 1, 4, 0)]));
    assert_eq!(host.calls().len(), 3);
    assert_eq!(host.calls()[1].timeout(), Some(millis(50)));
    drop(exchange);
}

#[test]
fn a_call_without_an_answer_in_time_fails_as_in_envoy() {
    let host = Host::new();
    host.answer("late", |_| Answer::new(200).after(millis(20)));
    host.answer("silent", |_| Answer::silence());
    host.answer("down", |_| Answer::failure(503));
    host.answer("reset", |_| Answer::reset());
    let statuses = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = statuses.clone();
    let module = Module::start(move |told| {
        match told {
            RequestHeaders(..) => {
                call("late", 20);
                call("silent", 15);
                call("silent", 0);
                call("down", 10);
                call("reset", 10);
            }
            HttpAnswer(_, headers, ..) => {
                let status = host::header_value(MapKind::CallResponseHeaders, ":status").unwrap();
                let status = String::from_utf8(status.unwrap_or_default()).unwrap();
                seen.borrow_mut().push((status, headers));
            }
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().send();
    host.advance(millis(1000));
    let told = |status: &str, headers| (status.to_owned(), headers);
    let expected = [told("503", 3), told("", 0), told("504", 3), told("504", 3)];
    assert_eq!(*statuses.borrow(), expected);
    drop(exchange);
}

#[test]
fn calls_that_a_host_cannot_send_are_refused() {
    let host = Host::new();
    host.answer("known", |_| Answer::new(200));
    let refusal = |cluster, headers| host::http_call(cluster, headers, b"", &[], 0).unwrap_err();
    assert_eq!(refusal("unknown", &HEADERS).status(), HostError::BAD_ARGUMENT);
    assert_eq!(refusal("known", &HEADERS[..2]).status(), HostError::BAD_ARGUMENT);
    assert!(host.calls().is_empty());
}

#[test]
fn ticks_keep_their_period_until_it_is_changed() {
    let host = Host::new();
    let module = Module::start(|told| {
        if let RequestHeaders(_, 1) = told {
            host::set_tick_period(10).unwrap();
        }
        if let (Tick, 35..) = (told, host::now_nanoseconds() / 1_000_000) {
            host::set_tick_period(0).unwrap();
        }
        CONTINUE
    });
    let exchange = module.request().send();
    host.advance(millis(35));
    assert_eq!(module.told().iter().filter(|told| **told == Tick).count(), 3);
    // The clock is set: no time has passed.
    host.set_now(millis(1_000_000));
    assert_eq!(module.told(), []);
    host.advance(millis(5));
    assert_eq!(module.told(), [Tick]);
    host.advance(millis(1000));
    assert_eq!(module.told(), []);
    drop(exchange);
}

#[test]
fn who_opened_a_queue_is_told_of_what_comes_in() {
    let host = Host::new();
    let module = Module::start(|told| {
        match told {
            RequestHeaders(..) => {
                let queue = host::register_queue("q").unwrap();
                host::enqueue(queue, b"value").unwrap();
            }
            QueueReady(queue) => {
                assert_eq!(host::dequeue(queue).unwrap().unwrap(), b"value");
                assert_eq!(host::dequeue(queue).unwrap(), None);
            }
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().send();
    assert!(matches!(module.told()[..], [RequestHeaders(..), QueueReady(1)]));
    host.advance(millis(1));
    drop(exchange);
}

#[test]
fn a_module_that_never_rests_is_found_out() {
    let host = Host::new();
    host.answer("at once", |_| Answer::new(200));
    let module = Module::start(|told| {
        if matches!(told, RequestHeaders(..) | HttpAnswer(..)) {
            call("at once", 0);
        }
        CONTINUE
    });
    let panic = catch_unwind(AssertUnwindSafe(|| std::mem::forget(module.request().send())));
    let message = panic.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("busy without end"), "{message}");
    host.answer("at once", |_| Answer::silence());
}

#[test]
fn only_contexts_that_there_are_can_be_entered() {
    Host::new();
    let module = Module::start(|_| CONTINUE);
    assert!(host::set_effective_context(module.instance.root()).is_ok());
    let refused = host::set_effective_context(u32::MAX).unwrap_err();
    assert_eq!(refused.status(), HostError::BAD_ARGUMENT);
}
