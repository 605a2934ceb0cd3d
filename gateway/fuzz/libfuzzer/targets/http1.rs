//! `portcullis_fuzz::TARGETS`: `http1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("http1", input));
