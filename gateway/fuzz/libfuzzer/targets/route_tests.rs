//! `portcullis_fuzz::TARGETS`: `route_tests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("route_tests", input));
