//! `portcullis_fuzz::TARGETS`: `header_map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("header_map", input));
