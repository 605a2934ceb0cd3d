//! `portcullis_fuzz::TARGETS`: `route_lookup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("route_lookup", input));
