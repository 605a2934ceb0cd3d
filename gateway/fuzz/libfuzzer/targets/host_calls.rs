//! `portcullis_fuzz::TARGETS`: `host_calls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("host_calls", input));
