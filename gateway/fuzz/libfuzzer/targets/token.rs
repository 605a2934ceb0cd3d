//! `portcullis_fuzz::TARGETS`: `token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("token", input));
