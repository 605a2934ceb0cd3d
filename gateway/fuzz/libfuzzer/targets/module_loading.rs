//! `portcullis_fuzz::TARGETS`: `module_loading`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("module_loading", input));
