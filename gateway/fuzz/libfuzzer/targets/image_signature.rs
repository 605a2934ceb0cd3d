//! `portcullis_fuzz::TARGETS`: `image_signature`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::run("image_signature", input));
