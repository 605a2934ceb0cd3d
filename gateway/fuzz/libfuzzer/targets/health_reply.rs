//! `portcullis_fuzz::TARGETS`: `health_reply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("health_reply", input));
