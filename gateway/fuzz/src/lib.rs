//! What the fuzzer runs: one plain function for each reader of bytes that somebody else wrote. A target
//! panics where the reader breaks a promise; its seeds are in `corpus/NAME`.
//!
//! What it is *not*: it needs no fuzzer. `tests/replay.rs` runs every target over its seeds on stable Rust;
//! the crate in `libfuzzer/` links the same functions to libFuzzer, and is a workspace of its own.
#![allow(clippy::panic, reason = "a target that finds something has to say so")]

mod access_log;
mod capability_manifest;
mod certificate;
mod client_hello;
mod expression;
mod forwarded;
mod header_map;
mod health_reply;
mod host;
mod host_calls;
mod http1;
mod http2_frames;
mod image_document;
mod image_layer;
mod image_signature;
mod kept_entry;
mod manifests;
mod module_loading;
mod proxy_header;
mod request_target;
mod rewrite;
mod route_lookup;
mod route_tests;
mod signature;
mod token;
mod token_places;
mod upstream_http2;

/// A reader of foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the directory of its seeds, and of its binary in `libfuzzer/`.
    pub name: &'static str,
    /// Lets it read; panics where it breaks a promise.
    pub run: fn(&[u8]),
}

/// All of them.
pub static TARGETS: [Target; 27] = [
    Target { name: "access_log", run: access_log::run },
    Target { name: "certificate", run: certificate::run },
    Target { name: "client_hello", run: client_hello::run },
    Target { name: "expression", run: expression::run },
    Target { name: "forwarded", run: forwarded::run },
    Target { name: "header_map", run: header_map::run },
    Target { name: "health_reply", run: health_reply::run },
    Target { name: "host", run: host::run },
    Target { name: "host_calls", run: host_calls::run },
    Target { name: "http1", run: http1::run },
    Target { name: "http2_frames", run: http2_frames::run },
    Target { name: "capability_manifest", run: capability_manifest::run },
    Target { name: "image_document", run: image_document::run },
    Target { name: "image_layer", run: image_layer::run },
    Target { name: "image_signature", run: image_signature::run },
    Target { name: "kept_entry", run: kept_entry::run },
    Target { name: "manifests", run: manifests::run },
    Target { name: "module_loading", run: module_loading::run },
    Target { name: "proxy_header", run: proxy_header::run },
    Target { name: "route_lookup", run: route_lookup::run },
    Target { name: "signature", run: signature::run },
    Target { name: "token", run: token::run },
    Target { name: "token_places", run: token_places::run },
    Target { name: "request_target", run: request_target::run },
    Target { name: "rewrite", run: rewrite::run },
    Target { name: "route_tests", run: route_tests::run },
    Target { name: "upstream_http2", run: upstream_http2::run },
];

/// Runs the target of a name.
///
/// # Panics
/// Where the target does, and where there is none of that name.
pub fn run(name: &str, input: &[u8]) {
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        panic!("there is no target `{name}`");
    };
    (target.run)(input);
}
