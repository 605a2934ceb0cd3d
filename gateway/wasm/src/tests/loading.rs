//! What is refused before a request meets it, and the message that says why.

use super::*;
use crate::tests::guest::{module, module_of};
use crate::{AbiVersion, FaultKind, MODULE_LIMIT};

fn refusal(text: &str) -> LoadError {
    match Bench::try_start(text, settings()) {
        Ok(_) => panic!("the plugin was not refused"),
        Err(error) => error,
    }
}

#[test]
fn every_version_loads_with_the_whole_set_of_imports() {
    for version in AbiVersion::ALL {
        let bench = Bench::try_start(&module_of(version.marker(), ""), settings()).unwrap();
        assert_eq!(bench.plugin.status().abi, version);
        assert_eq!(bench.request(&mut exchange()), Ok(Effects::none()));
    }
}

#[test]
fn what_is_no_module_does_not_compile() {
    let engine = Engine::for_node(NodeMetadata::default()).unwrap();
    assert!(matches!(engine.compile(b"no module"), Err(LoadError::Compile(_))));
    assert!(matches!(engine.compile(b"\0asm\x01\0\0\0\x01"), Err(LoadError::Compile(_))));
    let size = MODULE_LIMIT + 1;
    let refused = engine.compile(&vec![0; size]).unwrap_err();
    assert_eq!(refused, LoadError::TooLarge { size, limit: MODULE_LIMIT });
}

#[test]
fn an_unknown_import_is_named() {
    let text = module("").replacen("(module", r#"(module (import "env" "proxy_fly" (func))"#, 1);
    let LoadError::Import { module, name, .. } = refusal(&text) else { panic!() };
    assert_eq!((&*module, &*name), ("env", "proxy_fly"));
}

#[test]
fn an_import_of_another_type_is_named() {
    let text = module("").replace(
        r#""proxy_done" (func $done (result i32))"#,
        r#""proxy_done" (func $done (param i64))"#,
    );
    let LoadError::Import { module, name, reason } = refusal(&text) else { panic!() };
    assert_eq!((&*module, &*name), ("env", "proxy_done"), "{reason}");
}

#[test]
fn an_import_that_is_no_function_is_named() {
    let text = module("").replacen("(module", r#"(module (import "env" "g" (global i32))"#, 1);
    let LoadError::Import { name, .. } = refusal(&text) else { panic!() };
    assert_eq!(name, "g");
}

#[test]
fn another_abi_or_none_is_refused() {
    assert!(
        matches!(refusal(&module_of("proxy_abi_version_9_0_0", "")), LoadError::Abi(text) if text.contains("9_0_0"))
    );
    assert!(matches!(refusal("(module)"), LoadError::Abi(_)));
    let no_memory = module("").replace(r#"(memory (export "memory") 1)"#, "(memory 1)");
    assert!(matches!(refusal(&no_memory), LoadError::Abi(text) if text.contains("memory")));
    let no_allocator = module("").replace(r#"(export "malloc")"#, "");
    assert_eq!(refusal(&no_allocator), LoadError::Allocator);
    let wrong = module(r#"(func (export "proxy_on_log") (param i64))"#);
    assert!(matches!(refusal(&wrong), LoadError::Abi(text) if text.contains("proxy_on_log")));
}

#[test]
fn a_refused_configuration_comes_with_the_guests_last_words() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $log (i32.const 4) $"no issuer\0agiven")) (i32.const 0))"#;
    let LoadError::Refused { callback, log } = refusal(&module(body)) else { panic!() };
    assert_eq!(callback, "proxy_on_configure");
    assert_eq!(log.0, ["no issuer\\ngiven"]);
    let body = r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))"#;
    let error = refusal(&module(body));
    assert!(error.to_string().contains("proxy_on_vm_start"), "{error}");
}

#[test]
fn a_trap_while_starting_is_told_with_its_backtrace() {
    let body = r#"(func $refuse (export "_initialize") unreachable)"#;
    let LoadError::Start { callback, fault, .. } = refusal(&module(body)) else { panic!() };
    assert_eq!((callback, fault.kind), ("_initialize", FaultKind::Trap));
    assert!(fault.backtrace.contains("refuse"), "{}", fault.backtrace);
    let exits = r#"(func (export "_start") (call $exit (i32.const 1)))"#;
    assert!(matches!(refusal(&module(exits)), LoadError::Start { callback: "_start", .. }));
}

#[test]
fn a_start_has_budgets() {
    let looping = module(r#"(func $go (loop $l (br $l))) (start $go)"#);
    let mut hasty = settings();
    hasty.limits.start = Duration::from_millis(20);
    let error = Bench::try_start(&looping, hasty).err().unwrap();
    let LoadError::Budget { callback, fault, .. } = error else { panic!("{error}") };
    assert_eq!((callback, fault.kind), ("instantiation", FaultKind::Deadline));
    let large = module("").replace(r#"(export "memory") 1)"#, r#"(export "memory") 257)"#);
    let error = refusal(&large);
    assert!(
        matches!(&error, LoadError::Budget { fault, .. } if fault.kind == FaultKind::Memory),
        "{error}"
    );
}

#[test]
fn the_order_of_a_start_is_initialise_main_context_vm_configure() {
    let body = r#"
        (global $at (mut i32) (i32.const 0))
        (func $step (param i32)
          (call $expect (global.get $at) (local.get 0))
          (global.set $at (i32.add (local.get 0) (i32.const 1))))
        (func (export "_initialize") (call $step (i32.const 0))
          (call $expect (call $get_property $"plugin_root_id" (i32.const 512) (i32.const 516)) (i32.const 10))
          (call $expect (call $log (i32.const 0) $"hello") (i32.const 0)))
        (func (export "_start") unreachable)
        (func (export "main") (param i32 i32) (result i32) (call $step (i32.const 1)) (i32.const 0))
        (func (export "proxy_on_context_create") (param i32 i32)
          (if (i32.eqz (local.get 1)) (then
            (call $step (i32.const 2)) (call $expect_property $"plugin_root_id" $"root"))
          (else
            (call $step (i32.const 5))
            (call $expect (local.get 0) (i32.const 2)) (call $expect (local.get 1) (i32.const 1)))))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $step (i32.const 3)) (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $step (i32.const 4)) (i32.const 1))"#;
    let bench = Bench::start(&format!("{body}{}", guest::on_request("(call $step (i32.const 6))")));
    bench.request(&mut exchange()).unwrap();
}

#[test]
fn modules_that_start_in_their_start_section_may_log_there() {
    let body =
        r#"(func $go (call $expect (call $log (i32.const 2) $"up") (i32.const 0))) (start $go)"#;
    Bench::start(body);
}
