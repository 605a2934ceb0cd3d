//! How exchanges and modules end.

use super::super::{Answer, Host, Outcome};
use super::Told::*;
use super::{CONTINUE, Module, PAUSE, millis};
use crate::abi::Level;
use crate::host;

const HEADERS: [(&str, &[u8]); 3] =
    [(":method", b"GET"), (":path", b"/"), (":authority", b"auth.example")];

#[test]
fn a_client_that_leaves_ends_the_exchange_and_no_call() {
    let host = Host::new();
    host.answer("auth", |_| Answer::new(200).after(millis(10)));
    let module = Module::start(|told| match told {
        RequestHeaders(..) => {
            host::http_call("auth", &HEADERS, b"", &[], 0).unwrap();
            PAUSE
        }
        _ => CONTINUE,
    });
    let exchange = module.request().send();
    module.told();
    drop(exchange);
    assert!(matches!(module.told()[..], [Done(_), Log(_), Delete(_)]));
    // A host may tell of an answer whose request is gone.
    host.advance(millis(10));
    assert!(matches!(module.told()[..], [HttpAnswer(..)]));
}

#[test]
fn a_module_that_wants_time_gets_it_until_it_is_done() {
    let host = Host::new();
    let module = Module::start(|told| match told {
        Done(context) => {
            host::set_tick_period(10).unwrap();
            assert!(host::set_effective_context(context).is_ok());
            PAUSE
        }
        _ => CONTINUE,
    });
    let exchange = module.request().send();
    exchange.finish();
    let told = module.told();
    let context = match told[..] {
        [RequestHeaders(..), Done(context)] => context,
        _ => panic!("{told:?}"),
    };
    host::set_effective_context(context).unwrap();
    host::done().unwrap();
    host.advance(millis(0));
    assert_eq!(module.told(), [Log(context), Delete(context)]);
}

#[test]
fn a_trap_ends_the_module_and_all_exchanges_in_it() {
    let host = Host::new();
    let module = Module::start(|told| match told {
        RequestHeaders(_, 0) => {
            host::log(Level::Error, "broken");
            host::trap()
        }
        RequestHeaders(..) => PAUSE,
        _ => CONTINUE,
    });
    let waiting = module.request().send();
    assert_eq!(waiting.outcome(), Outcome::Waiting);
    let broken = module.request().body("body").send();
    for exchange in [waiting, broken] {
        assert_eq!(exchange.outcome(), Outcome::Trapped("broken".to_owned()));
        assert_eq!(exchange.finish(), Outcome::Trapped("broken".to_owned()));
    }
    assert_eq!(module.instance.trapped().as_deref(), Some("broken"));
    assert!(!module.told().iter().any(|told| matches!(told, Done(_))));
    host.advance(millis(1));
}

#[test]
fn a_new_host_forgets_what_was_under_way() {
    Host::new();
    let module = Module::start(|_| PAUSE);
    let exchange = module.request().send();
    let host = Host::new();
    let other = Module::start(|_| CONTINUE);
    assert_ne!(module.instance.root(), other.instance.root());
    drop(exchange);
    host.advance(millis(1));
    assert!(other.request().send().outcome().is_continued());
}
