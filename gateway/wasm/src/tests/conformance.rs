//! Conformance: what each host call says in each callback and to each wrong argument, under all three versions of
//! the ABI, as `docs/plugins/conformance.md` has it. With `UPDATE_CONFORMANCE=1` the tables there are written anew.

mod calls;
mod wrong;

use std::fmt::Write;
use std::path::Path;

use calls::CALLS;
use wrong::{WRONG, with_head};

use super::*;
use crate::AbiVersion;
use crate::tests::guest::module_of;
use crate::tests::http_calls::{next_call, reply};

const DOCUMENT: &str = "docs/plugins/conformance.md";

/// Where a guest calls the host, with what is seen of it in the table.
const PHASES: [&str; 16] = [
    "start",
    "malloc",
    "create",
    "vm_start",
    "configure",
    "request headers",
    "request body",
    "request trailers",
    "response headers",
    "response body",
    "response trailers",
    "call's result",
    "tick",
    "done",
    "log",
    "delete",
];

/// Statuses that the guest noted, each one more, so that 0 is none.
const NOTES: usize = 64;

#[test]
fn each_call_in_each_callback_is_as_documented() {
    let versions = AbiVersion::ALL.map(statuses_by_phase);
    let mut table = String::from("| call |");
    PHASES.iter().for_each(|phase| write!(table, " {phase} |").unwrap());
    table += &format!("\n|---|{}\n", "---|".repeat(PHASES.len()));
    for (row, call) in CALLS.iter().enumerate() {
        let cells =
            (0..PHASES.len()).map(|phase| cell(&versions.each_ref().map(|of| of[row][phase])));
        writeln!(table, "| `{}` | {} |", call.name, cells.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    documented("callbacks", &table);
}

#[test]
fn each_wrong_argument_is_answered_as_documented() {
    let versions = AbiVersion::ALL.map(statuses_of_wrong);
    let mut table = String::from("| call | what is wrong | status |\n|---|---|---|\n");
    for (row, (call, what, _)) in WRONG.iter().enumerate() {
        let status = cell(&versions.each_ref().map(|of| of[row]));
        writeln!(table, "| `{call}` | {what} | {status} |").unwrap();
    }
    documented("arguments", &table);
}

/// One status where the versions agree, else that of each from 0.1.0 on.
fn cell(newest_first: &[u8; 3]) -> String {
    let [_, _, oldest] = newest_first;
    let text =
        |noted: u8| noted.checked_sub(1).map_or("never".to_owned(), |status| status.to_string());
    if newest_first.iter().all(|noted| noted == oldest) {
        return text(*oldest);
    }
    newest_first.iter().rev().map(|noted| text(*noted)).collect::<Vec<_>>().join("/")
}

/// Holds a table against the document, between its markers.
fn documented(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DOCUMENT);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    for (found, wanted) in found.lines().zip(table.lines()) {
        assert_eq!(found, wanted, "{DOCUMENT} says otherwise");
    }
    assert_eq!(
        found.lines().count(),
        table.lines().count(),
        "{DOCUMENT} lacks rows, or has too many"
    );
}

/// For each call what it said in each phase.
fn statuses_by_phase(abi: AbiVersion) -> Vec<Vec<u8>> {
    let text = probing(abi);
    let engine = engine();
    let module = engine.compile(&wat::parse_str(text).unwrap()).unwrap();
    (0..CALLS.len()).map(|row| statuses_of(&engine, &module, row)).collect()
}

/// Runs a guest that probes one call through a whole life.
fn statuses_of(engine: &Arc<Engine>, module: &Arc<crate::Module>, row: usize) -> Vec<u8> {
    let mut settings = settings();
    settings.id.name = format!("probe-{row}").into();
    let row = char::from(b'0' + u8::try_from(row).unwrap());
    settings.environment = vec![("N".to_owned(), row.to_string())];
    let metrics = Registry::new().plugin_metrics(&settings.id.to_string());
    let plugin = Plugin::start(engine, module, &Arc::new(settings), 1, metrics.clone()).unwrap();
    let bench = Bench { engine: engine.clone(), metrics, plugin, worker: WorkerInstances::new(0) };
    let (instance, mut exchange) = (bench.instance(), exchange());
    let (stream, hello) = (instance.open_stream(), || Bytes::from_static(b"hello"));
    let more = EndOfStream::No;
    instance.on_request_headers(stream, &mut exchange, more).unwrap();
    instance.on_request_body(stream, &mut exchange, hello(), more).unwrap();
    exchange.request_trailers = Some(HeaderMap::new());
    instance.on_request_trailers(stream, &mut exchange, Bytes::new()).unwrap();
    exchange.response = answered().response;
    instance.on_response_headers(stream, &mut exchange, more).unwrap();
    instance.on_response_body(stream, &mut exchange, hello(), more).unwrap();
    exchange.response.as_mut().unwrap().trailers = Some(HeaderMap::new());
    instance.on_response_trailers(stream, &mut exchange, Bytes::new()).unwrap();
    let calls = std::iter::from_fn(|| next_call(&bench));
    let begun = calls.into_iter().find(|begun| begun.call.kind == crate::CallKind::Http);
    let begun = begun.expect("the call made while configuring");
    begun.caller.upgrade().unwrap().on_http_call_response(begun.call.id, reply(200, "good"));
    instance.on_tick();
    instance.close_stream(stream, &mut exchange);
    notes(&instance, PHASES.len())
}

fn notes(instance: &Instance, count: usize) -> Vec<u8> {
    let read = instance.with_vm(|vm| {
        let memory = vm.store.data().memory.unwrap().data(&vm.store);
        Ok(memory[NOTES..NOTES + count].to_vec())
    });
    read.unwrap()
}

/// A guest that makes the call of the number in its environment in every callback once, and notes the status.
fn probing(abi: AbiVersion) -> String {
    let mut table = String::new();
    for (row, call) in CALLS.iter().enumerate() {
        writeln!(
            table,
            "(if (i32.eq (global.get $row) (i32.const {row})) (then {} (return {})))",
            call.before,
            last_value(&with_head(call.code)),
        )
        .unwrap();
    }
    let body = format!(
        r#"
        (global $row (mut i32) (i32.const -1))
        (global $in_malloc (mut i32) (i32.const 0))
        (func $probe (result i32) {table} (i32.const 254))
        (func $note (param $phase i32)
          (if (i32.eqz (i32.load8_u (i32.add (i32.const {NOTES}) (local.get $phase))))
            (then (i32.store8 (i32.add (i32.const {NOTES}) (local.get $phase)) (i32.add (call $probe) (i32.const 1))))))
        (func (export "_initialize")
          (drop (call $environ (i32.const 600) (i32.const 640)))
          (global.set $row (i32.sub (i32.load8_u (i32.const 642)) (i32.const 48)))
          (call $note (i32.const 0)))
        (func (export "proxy_on_context_create") (param i32 i32) (call $note (i32.const 2)))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $note (i32.const 3)) (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $http_call $"auth" {head} $"" $"" (i32.const 0) (i32.const 524)))
          (call $note (i32.const 4)) (i32.const 1))
        {callbacks}
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) (call $note (i32.const 11)))
        (func (export "proxy_on_tick") (param i32) (call $note (i32.const 12)))
        (func (export "proxy_on_done") (param i32) (result i32) (call $note (i32.const 13)) (i32.const 1))
        (func (export "proxy_on_log") (param i32) (call $note (i32.const 14)))
        (func (export "proxy_on_delete") (param i32) (call $note (i32.const 15)))"#,
        head = calls::HEAD,
        callbacks = stream_callbacks(abi),
    );
    let malloc = r#"(func $malloc (export "malloc") (param $size i32) (result i32)"#;
    let probing_malloc = format!(
        "{malloc} (if (global.get $in_malloc) (then (global.set $in_malloc (i32.const 0)) (call $note (i32.const 1))))"
    );
    let text = module_of(abi.marker(), &body);
    assert!(text.contains(malloc));
    text.replace(malloc, &probing_malloc)
}

/// What runs before the last expression, and that as the result.
fn last_value(code: &str) -> String {
    format!("(block (result i32) {code})")
}

fn stream_callbacks(abi: AbiVersion) -> String {
    let head = if abi == AbiVersion::V0_1_0 { "i32 i32" } else { "i32 i32 i32" };
    let names = [
        ("request_headers", head, 5),
        ("request_body", "i32 i32 i32", 6),
        ("request_trailers", "i32 i32", 7),
        ("response_headers", head, 8),
        ("response_body", "i32 i32 i32", 9),
        ("response_trailers", "i32 i32", 10),
    ];
    let mut callbacks = String::new();
    for (name, arguments, phase) in names {
        // The allocator runs within a host call of the first callback.
        let first = if phase == 5 {
            r#"(global.set $in_malloc (i32.const 1))
               (drop (call $get_header (i32.const 0) $"x-a" (i32.const 512) (i32.const 516)))"#
        } else {
            ""
        };
        writeln!(
            callbacks,
            "(func (export \"proxy_on_{name}\") (param {arguments}) (result i32) {first}
               (call $note (i32.const {phase})) (i32.const 0))"
        )
        .unwrap();
    }
    callbacks
}

/// What each wrong argument was answered with, in a request's body.
fn statuses_of_wrong(abi: AbiVersion) -> Vec<u8> {
    let mut code = String::new();
    for (row, (_, _, call)) in WRONG.iter().enumerate() {
        let call = last_value(&with_head(call));
        writeln!(code, "(i32.store8 (i32.const {}) (i32.add {call} (i32.const 1)))", NOTES + row)
            .unwrap();
    }
    let body = format!(
        "(func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32) {code} (i32.const 0))"
    );
    let bench = Bench::try_start(&module_of(abi.marker(), &body), settings()).unwrap();
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    let hello = Bytes::from_static(b"hello");
    instance.on_request_body(stream, &mut exchange, hello, EndOfStream::No).unwrap();
    notes(&instance, WRONG.len())
}
