//! `portcullis_fuzz::TARGETS`: `signature`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("signature", input));
