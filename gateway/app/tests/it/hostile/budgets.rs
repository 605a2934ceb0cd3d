//! What takes time or memory.

use super::guests::Outcome::{Any, Fails, Refused, Serves};
use super::guests::{FOREVER, Hostile, call, guest, on, void, when};
use super::preamble::{MARKER, bare, hostile, with_malloc};

#[expect(clippy::too_many_lines, reason = "a table, with a row for each guest")]
pub fn loops() -> Vec<Hostile> {
    let configured = |code: &str| {
        format!(
            "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) {code} (i32.const 1))"
        )
    };
    let call_blue =
        on("request_headers", &format!("{} (return (i32.const 1))", call("blue.example:80")));
    vec![
        guest("loop-request-headers", Fails, when("request_headers", FOREVER)),
        guest("loop-request-body", Any, when("request_body", FOREVER)),
        guest("loop-response-headers", Fails, when("response_headers", FOREVER)),
        guest("loop-response-body", Any, when("response_body", FOREVER)),
        guest(
            "loop-context-create",
            Fails,
            hostile(
                &(on("request_headers", "")
                    + &void(
                        "context_create",
                        "i32 i32",
                        &format!("(if (local.get 1) (then {FOREVER}))"),
                    )),
            ),
        ),
        guest(
            "loop-done",
            Serves,
            hostile(
                &(on("request_headers", "")
                    + &format!(
                        "(func (export \"proxy_on_done\") (param i32) (result i32) {FOREVER} (i32.const 1))"
                    )),
            ),
        ),
        guest(
            "loop-log",
            Serves,
            hostile(&(on("request_headers", "") + &void("log", "i32", FOREVER))),
        ),
        guest(
            "loop-delete",
            Serves,
            hostile(&(on("request_headers", "") + &void("delete", "i32", FOREVER))),
        ),
        guest(
            "loop-tick",
            Any,
            hostile(
                &(configured("(drop (call $set_tick (i32.const 10)))")
                    + &void("tick", "i32", FOREVER)),
            ),
        ),
        guest(
            "loop-call-result",
            Fails,
            hostile(
                &(call_blue.clone() + &void("http_call_response", "i32 i32 i32 i32 i32", FOREVER)),
            ),
        ),
        guest(
            "trap-call-result",
            Fails,
            hostile(
                &(call_blue + &void("http_call_response", "i32 i32 i32 i32 i32", "unreachable")),
            ),
        ),
        guest(
            "loop-queue",
            Any,
            hostile(
                &(configured("(drop (call $register $\"jobs\" (i32.const 520)))")
                    + &on(
                        "request_headers",
                        "(drop (call $enqueue (i32.load (i32.const 520)) $\"job\"))",
                    )
                    + &void("queue_ready", "i32 i32", FOREVER)),
            ),
        ),
        guest(
            "loop-malloc",
            Fails,
            with_malloc(
                &(format!(
                    "(func (export \"malloc\") (param i32) (result i32) {FOREVER} (i32.const 0))"
                ) + &on(
                    "request_headers",
                    "(drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)))",
                )),
            ),
        ),
        guest(
            "loop-long-copies",
            Fails,
            when(
                "request_headers",
                "(loop $more (memory.fill (i32.const 0) (i32.const 7) (i32.const 262144)) (br $more))",
            ),
        ),
        guest(
            "loop-host-calls",
            Fails,
            when("request_headers", "(loop $more (drop (call $now (i32.const 512))) (br $more))"),
        ),
        guest(
            "loop-large-host-calls",
            Fails,
            when(
                "request_headers",
                "(loop $more (drop (call $random (i32.const 0) (i32.const 65536))) (br $more))",
            ),
        ),
        guest(
            "ticks-as-fast-as-can-be",
            Serves,
            hostile(
                &(configured("(drop (call $set_tick (i32.const 1)))")
                    + &on("request_headers", "")
                    + &void("tick", "i32", "(drop (call $set_tick (i32.const 1)))")),
            ),
        ),
        guest(
            "sleeps-an-hour",
            Serves,
            when(
                "request_headers",
                "(i64.store (i32.const 2072) (i64.const 3600000000000)) (drop (call $poll (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 520)))",
            ),
        ),
        guest("holds-for-ever-and-calls", Any, when("request_body", "(return (i32.const 1))")),
    ]
}

pub fn memory() -> Vec<Hostile> {
    vec![
        guest("memory-grows", Serves, when("request_headers",
            "(loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))")),
        guest("memory-grows-at-once", Serves, when("request_headers", "(drop (memory.grow (i32.const 65532)))")),
        guest("memory-grows-and-traps", Fails, when("request_headers", "(if (i32.lt_s (memory.grow (i32.const 4096)) (i32.const 0)) (then unreachable))")),
        guest("memory-is-touched", Any, when("request_headers",
            "(loop $more (memory.fill (i32.const 131072) (i32.const 1) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 131072))) (br_if $more (i32.ge_s (memory.grow (i32.const 4)) (i32.const 0))))")),
        guest("memory-of-4-gib", Refused, bare(&format!("{MARKER} (memory (export \"memory\") 65536) (func (export \"malloc\") (param i32) (result i32) (i32.const 0))"))),
        guest("table-grows", Any, hostile(&("(table $t 1 funcref)".to_owned() + &on("request_headers",
            "(loop $more (br_if $more (i32.ge_s (table.grow $t (ref.null func) (i32.const 65536)) (i32.const 0))))")))),
        guest("table-of-ten-million", Refused, hostile(&("(table 10000000 funcref)".to_owned() + &on("request_headers", "")))),
        guest("data-out-of-bounds", Refused, hostile("(data (i32.const 0x7ffffff0) \"out of bounds\")")),
        guest("element-out-of-bounds", Refused, hostile("(table 1 funcref) (func $f) (elem (i32.const 7) $f $f)")),
        guest("recursion", Fails, hostile(&("(func $deep (call $deep))".to_owned() + &on("request_headers", "(call $deep)")))),
        guest("recursion-indirect", Fails, hostile(&("(table 1 funcref) (type $v (func)) (elem (i32.const 0) $deep) (func $deep (call_indirect (type $v) (i32.const 0)) (call_indirect (type $v) (i32.const 0)))".to_owned()
            + &on("request_headers", "(call $deep)")))),
        guest("recursion-with-large-frames", Fails, hostile(&(format!("(func $deep (param i64) {} (call $deep (i64.add (local.get 0) (i64.const 1))) {})",
            "(local i64 i64 i64 i64 i64 i64 i64 i64)".repeat(32), "(drop (local.get 9))") + &on("request_headers", "(call $deep (i64.const 1))")))),
        guest("recursion-through-malloc", Any, with_malloc(&(r#"(func $malloc (export "malloc") (param i32) (result i32)
              (drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516))) (i32.const 131072))"#.to_owned()
            + &on("request_headers", "(drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)))")))),
        guest("division-by-zero", Fails, when("request_headers", "(drop (i32.div_u (i32.const 1) (local.get $n)))")),
        guest("not-a-number", Fails, when("request_headers", "(drop (i32.trunc_f64_s (f64.const nan)))")),
        guest("trap", Fails, when("request_headers", "unreachable")),
        guest("trap-in-log", Serves, hostile(&(on("request_headers", "") + &void("log", "i32", "unreachable")))),
        guest("trap-in-malloc", Fails, with_malloc(&(r#"(func (export "malloc") (param i32) (result i32) unreachable)"#.to_owned()
            + &on("request_headers", "(drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)))")))),
        guest("exits", Fails, when("request_headers", "(call $exit (i32.const 0))")),
        guest("exits-in-log", Serves, hostile(&(on("request_headers", "") + &void("log", "i32", "(call $exit (i32.const 1))")))),
    ]
}
