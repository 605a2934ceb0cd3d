//! What floods the host with calls, or passes it pointers that lie.

use super::guests::Outcome::{Any, Fails, Serves};
use super::guests::{Hostile, call, guest, on, times, void, when};
use super::preamble::{hostile, with_malloc};

#[expect(clippy::too_many_lines, reason = "a table, with a row for each guest")]
pub fn floods() -> Vec<Hostile> {
    // Another key each time.
    let next = "(i32.store (i32.const 2048) (local.get $n))";
    let kept = "(i32.const 2048) (i32.const 4)";
    vec![
        guest(
            "flood-of-log-lines",
            Fails,
            when(
                "request_headers",
                "(loop $more (drop (call $log (i32.const 5) $\"flood\")) (br $more))",
            ),
        ),
        guest(
            "log-lines-of-200-kib",
            Any,
            when(
                "request_headers",
                &times(5000, "(drop (call $log (i32.const 4) (i32.const 0) (i32.const 200000)))"),
            ),
        ),
        guest(
            "log-line-of-a-gib",
            Serves,
            when(
                "request_headers",
                "(drop (call $log (i32.const 4) (i32.const 0) (i32.const 0x40000000)))",
            ),
        ),
        guest(
            "log-with-escapes",
            Serves,
            when(
                "request_headers",
                "(drop (call $log (i32.const 4) $\"\\1b[31m\\0d\\0aforged line\\00\"))",
            ),
        ),
        guest(
            "a-million-headers",
            Any,
            when(
                "request_headers",
                &times(1_000_000, "(drop (call $add (i32.const 0) $\"x-many\" $\"1\"))"),
            ),
        ),
        guest(
            "a-million-headers-in-reply",
            Any,
            when(
                "response_headers",
                &times(1_000_000, "(drop (call $add (i32.const 2) $\"x-many\" $\"1\"))"),
            ),
        ),
        guest(
            "headers-of-100-kib",
            Any,
            when(
                "request_headers",
                &format!(
                    "(memory.fill (i32.const 2048) (i32.const 97) (i32.const 100000)) {}",
                    times(
                        200,
                        "(drop (call $add (i32.const 0) $\"x-large\" (i32.const 2048) (i32.const 100000)))"
                    )
                ),
            ),
        ),
        guest(
            "reply-headers-of-100-kib",
            Any,
            when(
                "response_headers",
                &format!(
                    "(memory.fill (i32.const 2048) (i32.const 97) (i32.const 100000)) {}",
                    times(
                        200,
                        "(drop (call $add (i32.const 2) $\"x-large\" (i32.const 2048) (i32.const 100000)))"
                    )
                ),
            ),
        ),
        guest(
            "splits-headers",
            Serves,
            when(
                "response_headers",
                "(drop (call $add (i32.const 2) $\"x-a\\0d\\0aset-cookie\" $\"evil=1\")) (drop (call $add (i32.const 2) $\"x-a\" $\"1\\0d\\0aset-cookie: evil=1\")) (drop (call $add (i32.const 2) $\"x-b\\00\" $\"\\00\"))",
            ),
        ),
        guest(
            "lies-about-framing",
            Serves,
            when(
                "response_headers",
                "(drop (call $replace (i32.const 2) $\"content-length\" $\"3\")) (drop (call $add (i32.const 2) $\"transfer-encoding\" $\"chunked\")) (drop (call $add (i32.const 2) $\"connection\" $\"close\"))",
            ),
        ),
        guest(
            "a-hundred-thousand-metrics",
            Any,
            when(
                "request_headers",
                &times(
                    100_000,
                    &format!(
                        "{next} (drop (call $define (i32.const 2) {kept} (i32.const 520))) (drop (call $record (i32.load (i32.const 520)) (i64.const -1)))"
                    ),
                ),
            ),
        ),
        guest(
            "metrics-with-odd-names",
            Serves,
            when(
                "request_headers",
                "(drop (call $define (i32.const 0) $\"a\\22} 1\\0aforged_total 7\\0a\" (i32.const 520))) (drop (call $record (i32.load (i32.const 520)) (i64.const 1)))",
            ),
        ),
        guest(
            "a-hundred-thousand-properties",
            Any,
            when(
                "request_headers",
                &times(100_000, &format!("{next} (drop (call $set_property {kept} {kept}))")),
            ),
        ),
        guest(
            "fills-shared-data",
            Any,
            when(
                "request_headers",
                &times(
                    100_000,
                    &format!(
                        "{next} (drop (call $set_shared {kept} (i32.const 0) (i32.const 65536) (i32.const 0)))"
                    ),
                ),
            ),
        ),
        guest(
            "shared-value-of-a-gib",
            Serves,
            when(
                "request_headers",
                "(drop (call $set_shared $\"k\" (i32.const 0) (i32.const 0x40000000) (i32.const 0)))",
            ),
        ),
        guest(
            "fills-a-queue",
            Any,
            when(
                "request_headers",
                &format!(
                    "(drop (call $register $\"jobs\" (i32.const 520))) {}",
                    times(
                        100_000,
                        "(drop (call $enqueue (i32.load (i32.const 520)) (i32.const 0) (i32.const 65536)))"
                    )
                ),
            ),
        ),
        guest(
            "ten-thousand-queues",
            Any,
            when(
                "request_headers",
                &times(10_000, &format!("{next} (drop (call $register {kept} (i32.const 520)))")),
            ),
        ),
        guest(
            "a-queue-that-feeds-itself",
            Any,
            hostile(
                &(on(
                    "request_headers",
                    "(drop (call $register $\"jobs\" (i32.const 520))) (drop (call $enqueue (i32.load (i32.const 520)) $\"a\"))",
                ) + &void(
                    "queue_ready",
                    "i32 i32",
                    "(drop (call $dequeue (local.get 1) (i32.const 512) (i32.const 516))) (drop (call $enqueue (local.get 1) $\"a\")) (drop (call $enqueue (local.get 1) $\"b\"))",
                )),
            ),
        ),
        guest(
            "ten-thousand-calls",
            Any,
            when("request_headers", &times(10_000, &call("blue.example:80"))),
        ),
        guest(
            "calls-that-call",
            Any,
            hostile(
                &(on("request_headers", &call("blue.example:80"))
                    + &void(
                        "http_call_response",
                        "i32 i32 i32 i32 i32",
                        &format!("{0} {0}", call("blue.example:80")),
                    )),
            ),
        ),
        guest(
            "calls-everyone",
            Serves,
            when(
                "request_headers",
                &[
                    "127.0.0.1:22",
                    "169.254.169.254:80",
                    "localhost:9901",
                    "",
                    "\\ff",
                    "outbound|80||nowhere",
                    "inbound|80||",
                    "green.example:81",
                ]
                .map(call)
                .concat(),
            ),
        ),
        guest(
            "streams-of-grpc",
            Any,
            when(
                "request_headers",
                &times(
                    1000,
                    "(drop (call $grpc_stream $\"blue.example:80\" $\"s\" $\"m\" $\"\" (i32.const 520))) (drop (call $grpc_send (i32.load (i32.const 520)) (i32.const 0) (i32.const 200000) (i32.const 0)))",
                ),
            ),
        ),
        guest(
            "bomb-of-zlib",
            Any,
            when(
                "request_headers",
                &times(
                    200,
                    "(drop (call $foreign $\"compress\" (i32.const 131072) (i32.const 65536) (i32.const 512) (i32.const 516))) (drop (call $foreign $\"uncompress\" (i32.load (i32.const 512)) (i32.load (i32.const 516)) (i32.const 512) (i32.const 516)))",
                ),
            ),
        ),
        guest(
            "prints-without-end",
            Serves,
            when(
                "request_headers",
                "(i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const -1)) (drop (call $fd_write (i32.const 1) (i32.const 2048) (i32.const -1) (i32.const 520)))",
            ),
        ),
        guest(
            "a-body-that-grows",
            Any,
            when(
                "response_body",
                &times(
                    1000,
                    "(drop (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 262144)))",
                ),
            ),
        ),
        guest(
            "a-body-that-grows-upstream",
            Any,
            when(
                "request_body",
                &times(
                    1000,
                    "(drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 262144)))",
                ),
            ),
        ),
    ]
}

pub fn pointers() -> Vec<Hostile> {
    let everywhere = |pointer: &str| {
        let p = format!("(i32.const {pointer})");
        let calls = [
            ("log", "4 P P"),
            ("now", "P"),
            ("get_buffer", "0 P P P P"),
            ("set_buffer", "0 P P P P"),
            ("get_pairs", "0 P P"),
            ("set_pairs", "0 P P"),
            ("get", "0 P P P P"),
            ("add", "0 P P P P"),
            ("replace", "0 P P P P"),
            ("remove", "0 P P"),
            ("host_reply", "200 P P P P P P P"),
            ("http_call", "P P P P P P P P P P"),
            ("grpc_stream", "P P P P P P P P P"),
            ("grpc_send", "P P P P"),
            ("get_shared", "P P P P P"),
            ("set_shared", "P P P P P"),
            ("register", "P P P"),
            ("enqueue", "P P P"),
            ("dequeue", "P P P"),
            ("define", "0 P P P"),
            ("get_property", "P P P P"),
            ("set_property", "P P P P"),
            ("foreign", "P P P P P P"),
            ("context", "P"),
            ("fd_write", "1 P P P"),
            ("random", "P P"),
            ("poll", "P P P P"),
        ];
        let code: String = calls
            .iter()
            .map(|(name, arguments)| {
                let arguments: Vec<_> = arguments
                    .split(' ')
                    .map(|argument| match argument {
                        "P" => p.clone(),
                        number => format!("(i32.const {number})"),
                    })
                    .collect();
                format!(
                    "(drop (call ${name} {})) (drop (call $context (local.get $context)))",
                    arguments.join(" ")
                )
            })
            .collect();
        when("request_headers", &code)
    };
    let gives = |address: &str| {
        with_malloc(
            &(format!("(func (export \"malloc\") (param i32) (result i32) (i32.const {address}))")
                + &on(
                    "request_headers",
                    "(drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516))) (drop (call $get (i32.const 0) $\":path\" (i32.const 512) (i32.const 516)))",
                )),
        )
    };
    vec![
        guest("pointers-of-minus-one", Serves, everywhere("-1")),
        guest("pointers-of-2-gib", Serves, everywhere("0x7fffffff")),
        guest("pointers-of-minus-2-gib", Serves, everywhere("0x80000000")),
        guest("pointers-at-the-end", Serves, everywhere("262143")),
        guest("pointers-of-nothing", Any, everywhere("0")),
        guest("pointers-at-odd-places", Any, everywhere("77")),
        guest("malloc-gives-nothing", Serves, gives("0")),
        guest("malloc-gives-minus-one", Serves, gives("-1")),
        guest("malloc-gives-the-end", Serves, gives("262140")),
        guest("malloc-gives-its-own-arguments", Any, gives("512")),
        guest("malloc-grows-memory", Serves, with_malloc(&(r#"(func (export "malloc") (param i32) (result i32) (drop (memory.grow (i32.const 1))) (i32.const 200000))"#.to_owned()
            + &on("request_headers", "(drop (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)))")))),
        guest("pairs-that-lie", Serves, when("request_headers", "(drop (call $set_pairs (i32.const 0) $\"\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\7f\")) (drop (call $set_pairs (i32.const 0) $\"\\01\\00\\00\\00\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ffab\")) (drop (call $set_pairs (i32.const 0) $\"\\00\\04\\00\\00\"))")),
        guest("lengths-that-overflow", Serves, when("request_body", "(drop (call $get_buffer (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 512) (i32.const 516))) (drop (call $set_buffer (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 0)))")),
        guest("numbers-of-callbacks-odd", Any, when("response_headers", "(return (i32.const 2))")),
    ]
}
