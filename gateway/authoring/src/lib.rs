//! What plugin authors do with the binary: begin a project, build it, look into a module. What the gateway would say of a
//! module is said by the engine that serves.
//!
//! What it is *not*: no part of it runs in a gateway, and it knows no routes.
//!
//! The main types: [`Project`] is found or begun ([`begin_project`]) and built ([`Project::build`]); [`Inspection`] says what
//! a module is.

mod author_error;
mod begin;
mod bench;
mod bench_history;
mod bench_run;
mod bench_text;
mod build;
mod callback_costs;
mod capabilities;
mod child_lines;
mod cost_table;
mod dev;
mod dev_gateway;
mod dev_settings;
mod echo_server;
mod effort;
mod envoy_host;
mod expectation;
mod file_kind;
mod gateway_host;
mod image_annotations;
mod in_process;
mod inspection;
mod inspection_text;
mod measured_exchange;
mod message;
mod none_or;
mod one_or_more;
mod optimise;
mod own_names;
mod packed;
mod progress;
mod project;
mod push;
mod push_error;
mod pushed_manifest;
mod read_suite;
mod registry_login;
mod sample;
mod scripted_server;
mod sections;
mod source_watch;
mod suite;
mod suite_client;
mod suite_costs;
mod suite_host;
mod suite_run;
mod suite_services;
mod suite_stage;
mod suite_token;
mod toolchain;
mod tried_manifests;

pub use author_error::AuthorError;
pub use begin::{Template, begin_project};
pub use bench::{Bench, BenchTask, bench};
pub use bench_run::BenchRun;
pub use build::Built;
pub use callback_costs::CallbackCost;
pub use dev::develop;
pub use dev_settings::DevSettings;
pub use effort::Effort;
pub use inspection::{Inspection, inspect};
pub use progress::Progress;
pub use project::Project;
pub use push::{PushSettings, push_module};
pub use suite_costs::{SuiteCosts, suite_costs};
pub use suite_run::{Stand, Verdict, run_suite};
pub use suite_services::suites_in;
pub use suite_stage::Strictness;
