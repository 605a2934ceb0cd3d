//! `portcullis_fuzz::TARGETS`: `manifests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("manifests", input));
