//! `portcullis_fuzz::TARGETS`: `target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("request_target", input));
