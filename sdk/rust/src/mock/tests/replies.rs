//! Replies of a module's own.

use super::super::{Host, Outcome};
use super::Told::*;
use super::{CONTINUE, Module, PAUSE, millis};
use crate::abi::{MapKind, StreamKind};
use crate::packed::Packed;
use crate::{HostError, Reply, host};

fn reply(status: u32, body: &[u8]) {
    host::send_reply(status, "why", body, &Packed::pack(&[("X-Own", "1")])).unwrap();
}

#[test]
fn a_reply_passes_the_module_s_own_response_callbacks() {
    Host::new();
    let module = Module::start(|told| {
        match told {
            RequestHeaders(..) => {
                reply(403, b"no");
                // The first reply counts, and no return value takes it back.
                reply(500, b"");
            }
            ResponseHeaders(_, end) => {
                let header = |name| host::header_value(MapKind::ResponseHeaders, name).unwrap();
                assert_eq!((header(":status"), end), (Some(b"403".to_vec()), 0));
                assert_eq!(header("content-length"), Some(b"2".to_vec()));
                host::add_header(MapKind::ResponseHeaders, "x-seen", b"1").unwrap();
            }
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().body("body").send();
    let expected = Reply::new(403).details("why").header("x-own", "1").body("no");
    assert_eq!(exchange.outcome().reply(), expected);
    assert_eq!(exchange.upstream_request(), None);
    let response = exchange.downstream_response().unwrap();
    assert_eq!((response.status(), response.text().as_str()), (Some(403), "no"));
    assert_eq!((response.header("x-own"), response.header("x-seen")), (Some("1"), Some("1")));
    assert!(response.is_complete());
    assert!(matches!(
        module.told()[..],
        [RequestHeaders(..), ResponseHeaders(..), ResponseBody(_, 2, 1)]
    ));
}

#[test]
fn a_reply_to_a_response_is_not_shown_again() {
    Host::new();
    let module = Module::start(|told| {
        if let ResponseHeaders(..) = told {
            reply(502, b"bad");
        }
        PAUSE * u32::from(matches!(told, ResponseHeaders(..)))
    });
    let exchange = module.request().send();
    exchange.respond([("x-upstream", "1")]).body("body").send();
    let response = exchange.downstream_response().unwrap();
    assert_eq!((response.status(), response.text().as_str()), (Some(502), "bad"));
    assert_eq!(response.header("x-upstream"), None);
    let told = module.told();
    assert_eq!(told.iter().filter(|told| matches!(told, ResponseHeaders(..))).count(), 1);
    assert!(!told.iter().any(|told| matches!(told, ResponseBody(..))));
}

#[test]
fn a_reply_after_the_response_s_head_cuts_it() {
    Host::new();
    let module = Module::start(|told| {
        if let ResponseBody(..) = told {
            reply(502, b"");
        }
        CONTINUE
    });
    let exchange = module.request().send();
    exchange.respond([]).body("body").send();
    assert_eq!(exchange.outcome(), Outcome::Closed);
    assert!(!exchange.downstream_response().unwrap().is_complete());
}

#[test]
fn a_reply_may_come_later_and_a_stream_may_be_closed() {
    let host = Host::new();
    let module = Module::start(|told| match told {
        RequestHeaders(..) => {
            host::set_tick_period(10).unwrap();
            PAUSE
        }
        Tick => {
            // Contexts are given in turn: the root is the first of this test's.
            CONTINUE
        }
        _ => CONTINUE,
    });
    let exchange = module.request().send();
    host.advance(millis(10));
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    let context = module.told().iter().find_map(|told| match told {
        RequestHeaders(context, _) => Some(*context),
        _ => None,
    });
    host::set_effective_context(context.unwrap()).unwrap();
    reply(429, b"");
    host.advance(millis(0));
    assert_eq!(exchange.downstream_response().unwrap().status(), Some(429));
    let other =
        Module::start(|_| host::close_stream(StreamKind::Request).map_or(CONTINUE, |()| PAUSE));
    let exchange = other.request().send();
    assert_eq!(exchange.outcome(), Outcome::Closed);
}

#[test]
fn lines_in_headers_are_refused() {
    Host::new();
    let module = Module::start(|told| {
        if let RequestHeaders(..) = told {
            let packed = Packed::pack(&[("x", "a\r\nb: c")]);
            let refused = host::send_reply(200, "", b"", &packed).unwrap_err();
            assert_eq!(refused.status(), HostError::BAD_ARGUMENT);
            let refused = host::add_header(MapKind::RequestHeaders, "x", b"a\nb").unwrap_err();
            assert_eq!(refused.status(), HostError::BAD_ARGUMENT);
        }
        CONTINUE
    });
    assert!(module.request().send().outcome().is_continued());
}
