//! What meddles with contexts and with its own start, and modules of odd shapes.

use super::guests::Outcome::{Any, Refused, Serves};
use super::guests::{FOREVER, Hostile, guest, on, times, void, when};
use super::preamble::{IMPORTS, MALLOC, MARKER, bare, hostile};

#[expect(clippy::too_many_lines, reason = "a table, with a row for each guest")]
pub fn contexts() -> Vec<Hostile> {
    let of_others = "(drop (call $context (local.get $n)))
        (drop (call $continue (i32.const 0))) (drop (call $continue (i32.const 1))) (drop (call $close (i32.const 0)))
        (drop (call $close (i32.const 1))) (drop (call $done))
        (drop (call $host_reply (i32.const 200) $\"\" $\"mine\" $\"\" (i32.const -1)))";
    let reply = |status: &str| {
        format!("(drop (call $host_reply (i32.const {status}) $\"\" $\"no\" $\"\" (i32.const -1)))")
    };
    vec![
        guest("continues-streams-of-others", Any, when("request_headers", &times(2000, of_others))),
        guest(
            "continues-before-it-begins",
            Serves,
            hostile(
                &(on("request_headers", "")
                    + &void(
                        "context_create",
                        "i32 i32",
                        "(drop (call $continue (i32.const 0))) (drop (call $continue (i32.const 1))) (drop (call $done))",
                    )),
            ),
        ),
        guest(
            "closes-twice",
            Any,
            when(
                "request_headers",
                "(drop (call $close (i32.const 0))) (drop (call $close (i32.const 0))) (drop (call $close (i32.const 1)))",
            ),
        ),
        guest(
            "closes-what-is-over",
            Serves,
            hostile(
                &(on("request_headers", "")
                    + &void("log", "i32", "(drop (call $close (i32.const 0)))")
                    + &void(
                        "delete",
                        "i32",
                        "(drop (call $close (i32.const 1))) (drop (call $continue (i32.const 0)))",
                    )),
            ),
        ),
        guest(
            "is-never-done",
            Serves,
            hostile(
                &(on("request_headers", "")
                    + "(func (export \"proxy_on_done\") (param i32) (result i32) (i32.const 0))"),
            ),
        ),
        guest(
            "is-done-again-and-again",
            Serves,
            hostile(
                &(on("request_headers", "(drop (call $done))")
                    + "(func (export \"proxy_on_done\") (param i32) (result i32) (drop (call $done)) (drop (call $done)) (i32.const 0))"
                    + &void("log", "i32", "(drop (call $done))")
                    + &void("delete", "i32", "(drop (call $done))")),
            ),
        ),
        guest(
            "replies-everywhere",
            Any,
            hostile(
                &(["request_headers", "request_body", "response_headers", "response_body"]
                    .map(|name| on(name, &reply("403")))
                    .concat()
                    + &void("log", "i32", &reply("403"))
                    + &void("delete", "i32", &reply("403"))
                    + &void("context_create", "i32 i32", &reply("403"))),
            ),
        ),
        guest(
            "replies-once-and-goes-on",
            Any,
            when(
                "response_body",
                &format!("{0} {0} (drop (call $continue (i32.const 1)))", reply("500")),
            ),
        ),
        guest(
            "replies-with-no-status",
            Serves,
            when(
                "request_headers",
                &["0", "99", "100", "101", "199", "600", "65736", "-1"].map(reply).concat(),
            ),
        ),
        guest(
            "replies-with-a-gib",
            Serves,
            when(
                "request_headers",
                "(drop (call $host_reply (i32.const 200) $\"\" (i32.const 0) (i32.const 0x40000000) $\"\" (i32.const -1)))",
            ),
        ),
        guest(
            "takes-the-status-away",
            Any,
            when(
                "response_headers",
                "(drop (call $remove (i32.const 2) $\":status\")) (drop (call $replace (i32.const 2) $\":status\" $\"101\")) (drop (call $set_pairs (i32.const 2) $\"\\00\\00\\00\\00\"))",
            ),
        ),
        guest(
            "takes-the-request-away",
            Any,
            when(
                "request_headers",
                "(drop (call $set_pairs (i32.const 0) $\"\\00\\00\\00\\00\")) (drop (call $remove (i32.const 0) $\":path\")) (drop (call $replace (i32.const 0) $\":method\" $\"CONNECT\"))",
            ),
        ),
        guest(
            "goes-to-other-hosts",
            Any,
            when(
                "request_headers",
                "(drop (call $replace (i32.const 0) $\":authority\" $\"neighbour.example\")) (drop (call $replace (i32.const 0) $\":path\" $\"/../..//%2e%2e/\"))",
            ),
        ),
    ]
}

pub fn starts() -> Vec<Hostile> {
    let start = |name: &str, code: &str| hostile(&format!("(func (export \"{name}\") {code})"));
    let boot = |name: &str, result: &str| {
        hostile(&format!("(func (export \"{name}\") (param i32 i32) (result i32) {result})"))
    };
    vec![
        guest(
            "start-section-loops",
            Refused,
            hostile(&format!("(func $start {FOREVER}) (start $start)")),
        ),
        guest("start-section-traps", Refused, hostile("(func $start unreachable) (start $start)")),
        guest(
            "start-section-floods",
            Refused,
            hostile(
                "(func $start (loop $more (drop (call $log (i32.const 4) (i32.const 0) (i32.const 9))) (br $more))) (start $start)",
            ),
        ),
        guest("initialize-loops", Refused, start("_initialize", FOREVER)),
        guest("start-loops", Refused, start("_start", FOREVER)),
        guest("start-exits", Refused, start("_start", "(call $exit (i32.const 0))")),
        guest("initialize-exits", Refused, start("_initialize", "(call $exit (i32.const 1))")),
        guest(
            "initialize-calls",
            Any,
            start(
                "_initialize",
                "(drop (call $continue (i32.const 0))) (drop (call $host_reply (i32.const 200) $\"\" $\"\" $\"\" (i32.const -1)))",
            ),
        ),
        guest(
            "vm-start-loops",
            Refused,
            boot("proxy_on_vm_start", &format!("{FOREVER} (i32.const 1)")),
        ),
        guest("vm-start-refuses", Refused, boot("proxy_on_vm_start", "(i32.const 0)")),
        guest(
            "configure-loops",
            Refused,
            boot("proxy_on_configure", &format!("{FOREVER} (i32.const 1)")),
        ),
        guest("configure-traps", Refused, boot("proxy_on_configure", "unreachable")),
        guest("configure-refuses", Refused, boot("proxy_on_configure", "(i32.const 0)")),
        guest(
            "configure-continues",
            Serves,
            boot(
                "proxy_on_configure",
                "(drop (call $continue (i32.const 0))) (drop (call $close (i32.const 1))) (drop (call $host_reply (i32.const 200) $\"\" $\"\" $\"\" (i32.const -1))) (i32.const 1)",
            ),
        ),
    ]
}

pub fn exports() -> Vec<Hostile> {
    let plain = || format!("(memory (export \"memory\") 1) {MARKER} {MALLOC}");
    vec![
        guest(
            "callback-of-floats",
            Refused,
            bare(&format!(
                "{} (func (export \"proxy_on_request_headers\") (param f64 f64) (result f64) (f64.const nan))",
                plain()
            )),
        ),
        guest(
            "callback-of-references",
            Refused,
            bare(&format!("{} (func (export \"proxy_on_log\") (param externref))", plain())),
        ),
        guest(
            "callback-that-is-a-memory",
            Any,
            bare(&format!(
                "{MARKER} {MALLOC} (memory (export \"memory\") (export \"proxy_on_request_headers\") 1)"
            )),
        ),
        guest(
            "malloc-of-another-type",
            Refused,
            bare(&format!(
                "(memory (export \"memory\") 1) {MARKER} (func (export \"malloc\") (param i64) (result i64) (local.get 0))"
            )),
        ),
        guest("no-allocator", Refused, bare(&format!("(memory (export \"memory\") 1) {MARKER}"))),
        guest(
            "no-memory",
            Refused,
            bare(&format!(
                "{MARKER} (func (export \"malloc\") (param i32) (result i32) (i32.const 0))"
            )),
        ),
        guest("no-marker", Refused, bare(&format!("(memory (export \"memory\") 1) {MALLOC}"))),
        guest(
            "marker-of-the-future",
            Refused,
            bare(&format!(
                "(memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_3_0\")) {MALLOC}"
            )),
        ),
        guest(
            "imports-the-unknown",
            Refused,
            bare(&format!("(import \"env\" \"proxy_format_disk\" (func)) {}", plain())),
        ),
        guest(
            "imports-with-line-breaks",
            Refused,
            bare(&format!(
                "(import \"env\" \"proxy_log\\0aerror: forged\\1b[31m\\00\" (func)) {}",
                plain()
            )),
        ),
        guest(
            "imports-of-another-type",
            Refused,
            bare(&format!("(import \"env\" \"proxy_log\" (func (param i64))) {}", plain())),
        ),
        guest(
            "imports-memory",
            Refused,
            bare(&format!("(import \"env\" \"memory\" (memory 1)) {MARKER} {MALLOC}")),
        ),
        guest(
            "imports-a-table",
            Refused,
            bare(&format!("(import \"env\" \"table\" (table 1 funcref)) {}", plain())),
        ),
        guest(
            "imports-files",
            Refused,
            bare(&format!("(import \"wasi_snapshot_preview2\" \"open\" (func)) {}", plain())),
        ),
        guest(
            "exports-odd-names",
            Any,
            bare(&format!(
                "{} (func (export \"proxy_on\\00\\0a\\1b[31m\")) (func (export \"\")) (func (export \"{}\"))",
                plain(),
                "n".repeat(5000)
            )),
        ),
        guest(
            "memory-of-64-bits",
            Refused,
            bare(&format!("{MARKER} {MALLOC} (memory (export \"memory\") i64 1)")),
        ),
        guest(
            "memory-shared",
            Refused,
            bare(&format!("{MARKER} {MALLOC} (memory (export \"memory\") 1 1 shared)")),
        ),
        guest("memories-many", Refused, bare(&format!("{} (memory 1) (memory 1)", plain()))),
        guest("every-import-and-nothing-else", Serves, bare(&format!("{IMPORTS} {}", plain()))),
    ]
}

pub fn files() -> Vec<Hostile> {
    let whole = || when("request_headers", "");
    let cut = |at: usize| whole()[..at].to_vec();
    let flipped = |at: usize| {
        let mut module = whole();
        module[at] ^= 0xff;
        module
    };
    // Nested as deep as a compiler that recurses would not survive.
    let nested = |depth: usize| {
        when("request_headers", &format!("{} {}", "block ".repeat(depth), "end ".repeat(depth)))
    };
    let many = |count: usize| {
        hostile(&format!(
            "{} {}",
            on("request_headers", ""),
            (0..count)
                .map(|number| format!("(func (result i32) (i32.const {number}))"))
                .collect::<String>()
        ))
    };
    vec![
        guest("file-empty", Refused, Vec::new()),
        guest("file-cut-in-its-head", Refused, cut(6)),
        guest("file-cut-in-the-middle", Refused, cut(whole().len() / 2)),
        guest("file-cut-at-the-end", Refused, cut(whole().len() - 1)),
        guest("file-of-another-version", Refused, flipped(4)),
        guest("file-with-a-flipped-byte", Refused, flipped(9)),
        guest("file-of-text", Refused, b"(module)\n\0\x1b[31m".repeat(1000)),
        guest("nested-deep", Any, nested(20_000)),
        guest("functions-many", Any, many(20_000)),
        guest(
            "locals-many",
            Any,
            when(
                "request_headers",
                &format!(
                    "(block {})",
                    "(local.set $n (i32.add (local.get $n) (i32.const 1)))".repeat(50_000)
                ),
            ),
        ),
    ]
}
