//! The integration tests, one module per topic.

// A test that cannot go on fails, and its helpers stand outside `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Nobody imports from here.
#![allow(missing_docs, unreachable_pub)]

mod alb_headers;
mod attack;
mod bad_input;
mod bad_plugins;
mod canonical;
mod commands;
mod drain;
mod examples;
mod gateway;
mod guests;
mod health_paths;
mod hot_swap;
mod house;
mod http1;
mod http1_strict;
mod http2;
mod namespaces;
mod observability;
mod plugins;
mod proxy_protocol;
mod reload;
mod route_actions;
mod rollout;
mod routes;
mod shipped_plugins;
mod shop;
mod streaming;
mod tls;
mod upstreams;
