//! `portcullis_fuzz::TARGETS`: `upstream_http2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("upstream_http2", input));
