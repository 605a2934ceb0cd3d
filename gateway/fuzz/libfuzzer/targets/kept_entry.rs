//! `portcullis_fuzz::TARGETS`: `kept_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("kept_entry", input));
