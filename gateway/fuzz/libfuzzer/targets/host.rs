//! `portcullis_fuzz::TARGETS`: `host`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("host", input));
