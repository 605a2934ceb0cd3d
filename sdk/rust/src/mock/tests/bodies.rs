//! What a pause holds back, what is in reach when, and what goes on.

use super::super::{Host, Outcome};
use super::Told::*;
use super::{CONTINUE, Module, PAUSE, Told, millis};
use crate::abi::{BufferKind, MapKind, StreamKind};
use crate::{HostError, host};

/// Pauses where it is told to, and goes on with the request at each tick.
fn pausing(at: fn(Told) -> bool) -> impl Fn(Told) -> u32 {
    let waiting = std::cell::Cell::new(0);
    move |told| {
        match told {
            RequestHeaders(context, _) => {
                waiting.set(context);
                host::set_tick_period(10).unwrap();
            }
            Tick => {
                host::set_effective_context(waiting.get()).unwrap();
                host::continue_stream(StreamKind::Request).unwrap();
            }
            _ => {}
        }
        if at(told) { PAUSE } else { CONTINUE }
    }
}

#[test]
fn a_paused_head_holds_the_body_back() {
    let host = Host::new();
    let module = Module::start(pausing(|told| matches!(told, RequestHeaders(..))));
    let exchange = module.request().body("ab").body("cde").send();
    let context = match module.told()[..] {
        [RequestHeaders(context, 0)] => context,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    assert_eq!(exchange.upstream_request(), None);
    host.advance(millis(10));
    let body = [Tick, RequestBody(context, 2, 0), RequestBody(context, 3, 1)];
    assert_eq!(module.told(), body);
    let request = exchange.upstream_request().unwrap();
    assert_eq!((request.text().as_str(), request.is_complete()), ("abcde", true));
    assert_eq!((request.header(":path"), exchange.outcome()), (Some("/"), Outcome::Continued));
}

#[test]
fn a_paused_body_gathers_until_it_goes_on() {
    let host = Host::new();
    let module = Module::start(|told| match told {
        RequestBody(_, size, 1) => {
            assert_eq!(host::buffer_size(BufferKind::RequestBody), Ok(size));
            assert_eq!(host::buffer(BufferKind::RequestBody, 1, 2).unwrap(), b"bc");
            host::set_buffer(BufferKind::RequestBody, 0, size, b"new").unwrap();
            CONTINUE
        }
        RequestBody(..) => PAUSE,
        _ => CONTINUE,
    });
    let exchange = module.request().body("ab").open();
    assert_eq!((exchange.outcome(), host.calls().len()), (Outcome::Waiting, 0));
    assert_eq!(exchange.upstream_request().unwrap().body(), b"");
    exchange.chunk("cd");
    exchange.end();
    let sizes: Vec<_> = module
        .told()
        .into_iter()
        .filter_map(|told| match told {
            RequestBody(_, size, end) => Some((size, end)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(2, 0), (4, 0), (4, 1)]);
    assert_eq!(exchange.upstream_request().unwrap().body(), b"new");
}

#[test]
fn a_paused_body_that_is_resumed_goes_on_with_its_end() {
    let host = Host::new();
    let module = Module::start(pausing(|told| matches!(told, RequestBody(..))));
    let exchange = module.request().body("ab").body("cd").trailer("t", "1").send();
    // The trailers' callback lets everything go.
    assert!(exchange.upstream_request().unwrap().is_complete());
    let exchange = module.request().body("ab").body("cd").send();
    assert!(!exchange.upstream_request().unwrap().is_complete());
    host.advance(millis(10));
    let request = exchange.upstream_request().unwrap();
    assert_eq!((request.body(), request.is_complete()), (&b"abcd"[..], true));
}

#[test]
fn buffers_are_spliced_as_envoy_splices_them() {
    Host::new();
    let module = Module::start(|told| {
        if let RequestBody(..) = told {
            let set =
                |start, size, bytes| host::set_buffer(BufferKind::RequestBody, start, size, bytes);
            set(0, 0, b"<").unwrap();
            set(5, 0, b">").unwrap();
            assert_eq!(set(1, 2, b"middle").unwrap_err().status(), HostError::BAD_ARGUMENT);
            assert_eq!(set(0, 2, b"start").unwrap_err().status(), HostError::BAD_ARGUMENT);
        }
        CONTINUE
    });
    let exchange = module.request().body("abcd").send();
    assert_eq!(exchange.upstream_request().unwrap().body(), b"<abcd>");
}

#[test]
fn what_has_gone_on_is_out_of_reach() {
    Host::new();
    let can_read = |map| host::header_pairs(map).is_ok();
    let can_change = |map| host::add_header(map, "x", b"1").is_ok();
    let module = Module::start(move |told| {
        use MapKind::{RequestHeaders, RequestTrailers, ResponseHeaders};
        let has_body = host::buffer_size(BufferKind::RequestBody).is_ok();
        match told {
            Told::RequestHeaders(..) => {
                assert!(can_read(RequestHeaders) && can_change(RequestHeaders));
                assert!(!can_read(ResponseHeaders) && !can_read(RequestTrailers) && !has_body);
            }
            RequestBody(..) => assert!(has_body && !can_read(RequestHeaders)),
            Told::RequestTrailers(..) => assert!(can_change(RequestTrailers)),
            Told::ResponseHeaders(..) => {
                assert!(!can_read(RequestHeaders) && can_change(ResponseHeaders));
            }
            Log(_) => {
                assert!(can_read(RequestHeaders) && can_read(ResponseHeaders));
                assert!(!can_change(RequestHeaders) && !can_change(ResponseHeaders) && !has_body);
            }
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().body("body").trailer("t", "1").send();
    assert_eq!(exchange.upstream_request().unwrap().trailer("x"), Some("1"));
    exchange.respond([]).send();
    let response = exchange.downstream_response().unwrap();
    assert_eq!((response.status(), response.all("x")), (Some(200), vec!["1"]));
    assert_eq!(exchange.finish(), Outcome::Continued);
    assert!(module.told().iter().any(|told| matches!(told, Log(_))));
}

#[test]
fn trailers_can_be_held_with_the_body_before_them() {
    let host = Host::new();
    let module =
        Module::start(pausing(|told| matches!(told, RequestBody(..) | RequestTrailers(..))));
    let exchange = module.request().body("ab").trailer("t", "1").send();
    assert_eq!(exchange.upstream_request().unwrap().body(), b"");
    host.advance(millis(10));
    let request = exchange.upstream_request().unwrap();
    assert_eq!((request.text().as_str(), request.trailer("T")), ("ab", Some("1")));
    assert!(request.is_complete());
}

#[test]
fn several_exchanges_keep_their_own_messages() {
    Host::new();
    let module = Module::start(|told| match told {
        RequestHeaders(context, _) => {
            host::replace_header(MapKind::RequestHeaders, "x-context", &[b'0' + context as u8])
                .unwrap();
            CONTINUE
        }
        RequestBody(_, _, 0) => PAUSE,
        _ => CONTINUE,
    });
    let one = module.request().body("one").open();
    let other = module.request().body("other").open();
    one.chunk("!");
    one.end();
    other.end();
    let (one, other) = (one.upstream_request().unwrap(), other.upstream_request().unwrap());
    assert_eq!((one.text().as_str(), other.text().as_str()), ("one!", "other"));
    assert_ne!(one.header("x-context"), other.header("x-context"));
}

#[test]
fn a_body_beyond_what_a_host_holds_is_refused() {
    Host::new();
    let module =
        Module::start(|told| u32::from(matches!(told, RequestBody(..) | ResponseBody(_, 10.., _))));
    let large = vec![b'a'; 1024 * 1024 + 1];
    let exchange = module.request().body(large.clone()).send();
    assert_eq!(exchange.outcome().reply().status(), 413);
    assert_eq!(exchange.downstream_response().unwrap().status(), Some(413));
    let exchange = module.request().send();
    exchange.respond([]).body(large).send();
    assert_eq!(exchange.outcome(), Outcome::Closed);
}
