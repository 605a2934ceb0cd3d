//! Guests for the integration tests, written as any author of Envoy filters would: on crate `proxy-wasm`, not on our SDK.
//!
//! Each file in `examples/` is one module; there is nothing in the library.
