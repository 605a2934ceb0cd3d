//! Hostile guests: what they cost is the callback and the instance, never more.

use super::*;
use crate::FaultKind;
use crate::tests::guest::on_request as request_body;

/// Runs a guest that must fail, and returns how. The exchange comes back in every case.
fn fault_of(body: &str) -> PluginFault {
    let bench = Bench::start(&request_body(body));
    let mut exchange = exchange();
    let fault = bench.request(&mut exchange).unwrap_err();
    assert_eq!(exchange.request.path, "/shop?q=1", "the exchange is back after the fault");
    fault
}

#[test]
fn a_trap_names_the_guests_functions() {
    let fault = fault_of("(call $expect (i32.const 1) (i32.const 2))");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("unreachable"), "{}", fault.message);
    assert!(fault.backtrace.contains("expect"), "{}", fault.backtrace);
    assert!(fault.backtrace.contains("on_request_headers"), "{}", fault.backtrace);
}

#[test]
fn an_endless_loop_is_cut() {
    assert_eq!(fault_of("(loop $for_ever (br $for_ever))").kind, FaultKind::Deadline);
}

#[test]
fn an_endless_loop_of_host_calls_is_cut() {
    let fault = fault_of(r#"(loop $for_ever (drop (call $now (i32.const 520))) (br $for_ever))"#);
    assert_eq!(fault.kind, FaultKind::Deadline);
}

#[test]
fn memory_beyond_the_limit_is_denied() {
    on_request("(call $expect (memory.grow (i32.const 255)) (i32.const 1))");
    on_request("(call $expect (memory.grow (i32.const 256)) (i32.const -1))");
    let fault =
        fault_of("(if (i32.lt_s (memory.grow (i32.const 9999)) (i32.const 0)) (then unreachable))");
    assert_eq!(fault.kind, FaultKind::Memory);
}

#[test]
fn a_table_cannot_grow_without_end() {
    let grow = format!(
        "(table $t 1 funcref) {}",
        request_body(
            "(call $expect (table.grow $t (ref.null func) (i32.const 1000000)) (i32.const -1))"
        )
    );
    assert!(Bench::start(&grow).request(&mut exchange()).is_ok());
}

#[test]
fn endless_recursion_is_a_trap() {
    let body = format!("(func $again (call $again)) {}", request_body("(call $again)"));
    let fault = Bench::start(&body).request(&mut exchange()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("stack"), "{}", fault.message);
}

#[test]
fn pointers_outside_the_memory_are_a_status() {
    let calls = [
        r#"(call $log (i32.const 2) (i32.const -1) (i32.const 1))"#,
        r#"(call $log (i32.const 2) (i32.const 65535) (i32.const 2))"#,
        r#"(call $log (i32.const 2) (i32.const 0) (i32.const -1))"#,
        r#"(call $log (i32.const 2) (i32.const -1) (i32.const -1))"#,
        r#"(call $now (i32.const 65532))"#,
        r#"(call $get_log_level (i32.const -4))"#,
        r#"(call $get_header (i32.const 0) (i32.const -8) (i32.const 16) (i32.const 512) (i32.const 516))"#,
        r#"(call $get_header (i32.const 0) $":path" (i32.const -1) (i32.const 516))"#,
        r#"(call $get_header (i32.const 0) $":path" (i32.const 512) (i32.const -2))"#,
        r#"(call $get_pairs (i32.const 0) (i32.const 65533) (i32.const 516))"#,
        r#"(call $set_pairs (i32.const 0) (i32.const 1) (i32.const -1))"#,
        r#"(call $map_size (i32.const 0) (i32.const -1))"#,
        r#"(call $add_header (i32.const 0) $"x-b" (i32.const 65536) (i32.const 1))"#,
        r#"(call $replace_header (i32.const 0) (i32.const 65536) (i32.const 1) $"x")"#,
        r#"(call $remove_header (i32.const 0) (i32.const 65536) (i32.const 1))"#,
        r#"(call $reply (i32.const 200) $"" (i32.const 65536) (i32.const 1) $"" (i32.const -1))"#,
        r#"(call $reply (i32.const 200) (i32.const -1) (i32.const 1) $"" $"" (i32.const -1))"#,
        r#"(call $define (i32.const 0) (i32.const 65530) (i32.const 9) (i32.const 512))"#,
        r#"(call $define (i32.const 0) $"m" (i32.const -1))"#,
        r#"(call $get_property (i32.const 65536) (i32.const 1) (i32.const 512) (i32.const 516))"#,
        r#"(call $get_property $"plugin_name" (i32.const -1) (i32.const 516))"#,
        r#"(call $set_property $"a" (i32.const 65536) (i32.const 1))"#,
        r#"(call $set_property (i32.const 65536) (i32.const 1) $"a")"#,
        r#"(call $foreign (i32.const 65536) (i32.const 1) $"" (i32.const 512) (i32.const 516))"#,
        r#"(call $foreign $"verify_signature" (i32.const 9) (i32.const -1) (i32.const 512) (i32.const 516))"#,
    ];
    let body: String =
        calls.iter().map(|call| format!("(call $expect {call} (i32.const 6))\n")).collect();
    let (exchange, effects) = on_request(&body);
    assert_eq!(effects, Effects::none());
    assert!(!exchange.is_head_changed());
}

/// The words' own `malloc` is replaced by one that lies.
fn with_allocator(allocator: &str) -> String {
    let body = guest::module(&request_body(
        r#"(call $expect (call $get_header (i32.const 0) $"x-a" (i32.const 512) (i32.const 516)) (i32.const 6))"#,
    ));
    body.replace("(func $malloc (export \"malloc\")", "(func $unused")
        .replace("(func (export \"proxy_abi", &format!("{allocator} (func (export \"proxy_abi"))
}

#[test]
fn an_allocator_that_lies_is_a_status() {
    for address in ["0", "-1", "65535"] {
        let allocator = format!(
            "(func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const {address}))"
        );
        let bench = Bench::try_start(&with_allocator(&allocator), settings()).unwrap();
        bench.request(&mut exchange()).unwrap();
    }
}

#[test]
fn an_allocator_that_calls_back_or_fails_is_contained() {
    let nested = r#"(func (export "malloc") (param i32) (result i32)
        (if (i32.ne (call $remove_header (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 10)) (then unreachable))
        (i32.const 0))"#;
    let bench = Bench::try_start(&with_allocator(nested), settings()).unwrap();
    bench.request(&mut exchange()).unwrap();
    let trapping = r#"(func (export "malloc") (param i32) (result i32) unreachable)"#;
    let bench = Bench::try_start(&with_allocator(trapping), settings()).unwrap();
    assert_eq!(bench.request(&mut exchange()).unwrap_err().kind, FaultKind::Trap);
    let looping =
        r#"(func (export "malloc") (param i32) (result i32) (loop $l (br $l)) (i32.const 0))"#;
    let bench = Bench::try_start(&with_allocator(looping), settings()).unwrap();
    assert_eq!(bench.request(&mut exchange()).unwrap_err().kind, FaultKind::Deadline);
}

#[test]
fn ending_the_process_ends_the_instance() {
    let fault = fault_of("(call $exit (i32.const 3))");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("proc_exit(3)"), "{}", fault.message);
}
