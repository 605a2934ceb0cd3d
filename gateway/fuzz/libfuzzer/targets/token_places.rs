//! `portcullis_fuzz::TARGETS`: `token_places`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("token_places", input));
