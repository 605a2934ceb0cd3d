//! `portcullis_fuzz::TARGETS`: `expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("expression", input));
