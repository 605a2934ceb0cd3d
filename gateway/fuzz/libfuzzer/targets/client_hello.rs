//! `portcullis_fuzz::TARGETS`: `client_hello`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("client_hello", input));
