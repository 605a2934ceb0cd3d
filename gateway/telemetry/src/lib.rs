//! What the gateway tells about the requests it served: metrics and access logs.
//!
//! A worker counts into its own plain [`MetricShard`]; the process-wide [`Registry`] merges the shards when
//! Prometheus asks. [`AccessLogFormat`] compiles Envoy's format operators once, [`AccessLog`] writes lines on a
//! thread of its own.
//!
//! What it is *not*: it knows no routes, chooses nothing, and serves no port.

mod access_log;
mod admission;
mod callback_counts;
mod callback_shard;
mod cluster_samples;
mod connection_counts;
mod connection_series;
mod discovery_counts;
mod edge_counts;
mod exposition;
mod expression;
mod families;
mod histogram;
mod identity;
mod key_counts;
mod log_escape;
mod log_format;
mod log_operator;
mod log_parser;
mod log_plain;
mod log_rule;
mod log_time;
mod log_writer;
mod metric_kind;
mod named_counts;
mod plugin_metrics;
mod plugin_phase;
mod plugin_series;
mod plugin_supply_counts;
mod plugin_tallies;
mod registry;
mod request_series;
mod series_key;
mod shard;
mod target;
mod upstream_counts;

pub use access_log::{AccessLog, LogTarget};
pub use cluster_samples::{ClusterSample, render_clusters};
pub use connection_counts::ConnectionEvent;
pub use discovery_counts::DiscoveryCounts;
pub use edge_counts::{ConnectionLimit, EdgeCounts};
pub use expression::{Expression, ExpressionError};
pub use identity::Identity;
pub use key_counts::KeyCounts;
pub use log_format::AccessLogFormat;
pub use log_parser::{FormatError, FormatFault};
pub use log_rule::LogRule;
pub use log_time::rfc3339;
pub use metric_kind::MetricKind;
pub use plugin_metrics::{MetricError, PluginMetrics};
pub use plugin_phase::PluginPhase;
pub use plugin_supply_counts::{CompileResult, PluginSupplyCounts};
pub use plugin_tallies::{CallProtocol, CallResult, FaultCause, PluginTallies};
pub use registry::{PROMETHEUS_TEXT, Registry};
pub use shard::MetricShard;
pub use target::{RequestTarget, TargetLabels};
pub use upstream_counts::{MirrorEnd, UpstreamCounts};
