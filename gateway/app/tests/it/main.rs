//! The integration tests, one module per topic.

// A test that cannot go on fails, and its helpers stand outside `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Nobody imports from here.
#![allow(missing_docs, unreachable_pub)]

mod admin;
mod alb_headers;
mod attack;
mod bad_input;
mod bad_plugins;
mod balancing;
mod binary_upgrade;
mod canonical;
mod commands;
mod configmap;
mod deadlines;
mod deploy;
mod drain;
mod envoy;
mod examples;
mod expect;
mod faults;
mod gateway;
mod grpc;
mod guests;
mod health_paths;
mod hot_swap;
mod house;
mod http1;
mod http1_strict;
mod http2;
mod http2_conformance;
mod http2_floods;
mod load;
mod metrics;
mod namespaces;
mod observability;
mod outliers;
mod overload;
mod passthrough;
mod plugins;
mod promises;
mod proxy_protocol;
mod reload;
mod request_bodies;
mod rollout;
mod route_actions;
mod routes;
mod settings;
mod shipped_plugins;
mod shop;
mod soak;
mod streaming;
mod tcp;
mod threats;
mod tls;
mod tls_certificates;
mod tls_modes;
mod tls_policies;
mod trailers;
mod upstreams;
mod websocket;
mod websocket_http2;
