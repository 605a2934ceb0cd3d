//! `portcullis_fuzz::TARGETS`: `forwarded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("forwarded", input));
