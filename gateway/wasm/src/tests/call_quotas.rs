//! What calls may hold of the host's memory, and what a plugin may do of itself by one call after the other.

use super::*;
use crate::tests::guest::{module, on_request as request_body};
use crate::tests::http_calls::{next_call, reply};

/// `:method GET`, `:path /`, `:authority a` in the map format.
const HEAD: &str = r#"$"\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00""#;

fn bench(body: &str, change: impl FnOnce(&mut model::PluginLimits)) -> Bench {
    let mut settings = settings();
    change(&mut settings.limits);
    Bench::try_start(&module(body), settings).unwrap()
}

/// Each instance may have 64 KiB, so that all calls together hold 256 KiB at most.
fn small(body: &str) -> Bench {
    bench(body, |limits| limits.memory = 64 << 10)
}

fn held(bench: &Bench) -> usize {
    bench.plugin.facts().call_memory.held()
}

/// Of the addresses 520 (the call's number) and 524 (how often it went well).
fn noted(bench: &Bench) -> u32 {
    let read = bench.instance().with_vm(|vm| {
        let memory = vm.store.data().memory.unwrap().data(&vm.store);
        Ok(u32::from_le_bytes(memory[524..528].try_into().unwrap()))
    });
    read.unwrap()
}

/// Makes a call as often as it goes well; then its status has to be 10.
fn as_often_as_it_goes(call: &str) -> String {
    request_body(&format!(
        r#"(local $status i32)
           (loop $next
             (local.set $status {call})
             (if (i32.eqz (local.get $status)) (then
               (i32.store (i32.const 524) (i32.add (i32.load (i32.const 524)) (i32.const 1)))
               (br $next))))
           (call $expect (local.get $status) (i32.const 10))"#
    ))
}

#[test]
fn calls_hold_no_more_together_than_they_may_and_there_is_room_again_when_they_are_over() {
    let bench = small(&as_often_as_it_goes(&format!(
        "(call $http_call $\"auth\" {HEAD} (i32.const 0) (i32.const 40000) $\"\" (i32.const 0) (i32.const 520))"
    )));
    bench.request(&mut exchange()).unwrap();
    assert_eq!(noted(&bench), 4, "56 KiB each");
    let begun = next_call(&bench).unwrap();
    assert!(begun.call.room.hold(100 << 10).is_err(), "nor does a reply find room");
    assert_eq!(begun.call.room.hold(10 << 10), Ok(()));
    let before = held(&bench);
    begun.caller.upgrade().unwrap().on_http_call_response(begun.call.id, reply(200, ""));
    drop(begun);
    assert!(before - held(&bench) > 60_000);
    bench.request(&mut exchange()).unwrap();
    assert_eq!(noted(&bench), 5);
    while next_call(&bench).is_some() {}
    assert_eq!(held(&bench), 0);
}

#[test]
fn calls_that_are_cancelled_at_once_pile_up_nowhere() {
    let bench = small(&as_often_as_it_goes(
        r#"(block (result i32)
             (call $grpc_stream $"auth" $"s" $"m" $"" (i32.const 520))
             (drop (call $grpc_close (i32.load (i32.const 520))))
             (drop (call $grpc_close (i32.load (i32.const 520))))
             (drop (call $grpc_cancel (i32.load (i32.const 520)))))"#,
    ));
    bench.request(&mut exchange()).unwrap();
    assert_eq!(noted(&bench), 15, "16 KiB and their heads each");
}

#[test]
fn messages_without_room_end_their_stream_and_nothing_else() {
    let bench = small(&request_body(
        r#"(local $nth i32)
           (call $expect (call $grpc_stream $"auth" $"s" $"m" $"" (i32.const 520)) (i32.const 0))
           (loop $next
             (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
             (br_if $next (i32.eqz
               (call $grpc_send (i32.load (i32.const 520)) (i32.const 0) (i32.const 60000) (i32.const 0)))))
           (i32.store (i32.const 524) (local.get $nth))"#,
    ));
    bench.request(&mut exchange()).unwrap();
    // Four have room, the fifth ends the stream, the next one finds none.
    assert_eq!(noted(&bench), 6);
    let begun = next_call(&bench).unwrap();
    let waker = std::task::Context::from_waker(std::task::Waker::noop());
    let hangup = begun.line.poll_hangup(&mut { waker });
    assert_eq!(hangup, std::task::Poll::Ready(crate::Hangup::TooMuchWaiting));
    drop(begun);
}

/// Answers each result by the next call, from its root context or from the request's.
fn ping_pong(context: &str) -> String {
    let begin =
        format!("(call $http_call $\"auth\" {HEAD} $\"\" $\"\" (i32.const 0) (i32.const 520))");
    format!(
        r#"{}
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (drop (call $set_context {context}))
          (drop {begin}))"#,
        request_body(&format!(
            "(i32.store (i32.const 528) (local.get $context)) (drop (call $set_context {context})) (drop {begin})"
        ))
    )
}

/// How often a result led to another call, of so many at most.
fn rounds(bench: &Bench, most: usize) -> usize {
    let (instance, mut exchange) = (bench.instance(), exchange());
    begin(&instance, &mut exchange);
    (0..most)
        .take_while(|_| match next_call(bench) {
            Some(begun) => {
                let caller = begun.caller.upgrade().unwrap();
                caller.on_http_call_response(begun.call.id, reply(200, ""));
                true
            }
            None => false,
        })
        .count()
}

#[test]
fn one_call_after_the_other_counts_as_the_plugins_own_work() {
    for (context, free) in [("(i32.const 1)", 0), ("(i32.load (i32.const 528))", 16)] {
        let bench = bench(&ping_pong(context), |limits| limits.share = 1);
        let rounds = rounds(&bench, 100_000);
        // A hundredth of five seconds is a thousand times 50 us, and a little comes back meanwhile.
        assert!((free + 100..free + 2_000).contains(&rounds), "{rounds}");
        assert!(bench.worker.instance(&bench.plugin).is_none(), "it has to cool down");
    }
}

#[test]
fn where_the_share_has_no_limit_neither_have_calls() {
    let bench = bench(&ping_pong("(i32.const 1)"), |limits| limits.share = 100);
    assert_eq!(rounds(&bench, 5_000), 5_000);
}
