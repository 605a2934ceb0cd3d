//! `portcullis_fuzz::TARGETS`: `certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("certificate", input));
