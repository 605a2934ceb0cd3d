//! `portcullis_fuzz::TARGETS`: `http2_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("http2_frames", input));
