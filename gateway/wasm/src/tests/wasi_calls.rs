//! WASI: output is log, time and randomness work, files do not exist.

use super::*;
use crate::tests::guest::module;

#[test]
fn output_is_logged() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (local $text i32) (local $length i32)
        $"panicked\0a" (local.set $length) (local.set $text)
        (i32.store (i32.const 600) (local.get $text)) (i32.store (i32.const 604) (local.get $length))
        (call $expect (call $fd_write (i32.const 2) (i32.const 600) (i32.const 1) (i32.const 512)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (local.get $length))
        (call $expect (call $fd_write (i32.const 3) (i32.const 600) (i32.const 1) (i32.const 512)) (i32.const 8))
        (call $expect (call $fd_write (i32.const 2) (i32.const -8) (i32.const 9) (i32.const 512)) (i32.const 21))
        (call $expect (call $fd_write (i32.const 2) (i32.const 600) (i32.const -1) (i32.const 512)) (i32.const 28))
        (i32.const 0))"#;
    let Err(LoadError::Refused { log, .. }) = Bench::try_start(&module(body), settings()) else {
        panic!("not refused")
    };
    assert_eq!(log.0, ["panicked"]);
}

#[test]
fn clocks_randomness_and_the_environment_answer() {
    on_request(
        r#"
        (call $expect (call $clock (i32.const 0) (i64.const 0) (i32.const 520)) (i32.const 0))
        (if (i64.eqz (i64.load (i32.const 520))) (then unreachable))
        (call $expect (call $clock (i32.const 1) (i64.const 0) (i32.const 520)) (i32.const 0))
        (call $expect (call $clock (i32.const 2) (i64.const 0) (i32.const 520)) (i32.const 58))
        (i64.store (i32.const 520) (i64.const 0))
        (call $expect (call $random (i32.const 520) (i32.const 8)) (i32.const 0))
        (if (i64.eqz (i64.load (i32.const 520))) (then unreachable))
        (call $expect (call $random (i32.const 520) (i32.const -1)) (i32.const 28))
        (call $expect (call $random (i32.const 65530) (i32.const 64)) (i32.const 21))
        (call $expect (call $environ_sizes (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (i32.const 1))
        (call $expect (call $environ (i32.const 600) (i32.const 620)) (i32.const 0))
        (i32.store (i32.const 512) (i32.load (i32.const 600)))
        (call $expect_out $"MODE=test\00")
        (call $expect (call $environ (i32.const 65535) (i32.const 620)) (i32.const 21))"#,
    );
}

#[test]
fn polling_returns_at_once_and_files_do_not_exist() {
    on_request(
        r#"
        (i64.store (i32.const 600) (i64.const 42))
        (call $expect (call $poll (i32.const 600) (i32.const 700) (i32.const 1) (i32.const 512)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (i32.const 1))
        (call $expect (i32.load (i32.const 700)) (i32.const 42))
        (call $expect (call $poll (i32.const 600) (i32.const 700) (i32.const -1) (i32.const 512)) (i32.const 28))
        (call $expect (call $path_open (i32.const 3) (i32.const 0) $"/etc/passwd" (i32.const 0)
          (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 512)) (i32.const 44))
        (call $expect (call $fdstat (i32.const 1) (i32.const 600)) (i32.const 0))
        (call $expect (call $fdstat (i32.const 0) (i32.const 600)) (i32.const 8))"#,
    );
}
