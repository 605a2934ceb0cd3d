//! `portcullis_fuzz::TARGETS`: `proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("proxy_header", input));
