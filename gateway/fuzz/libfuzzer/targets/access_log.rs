//! `portcullis_fuzz::TARGETS`: `access_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("access_log", input));
