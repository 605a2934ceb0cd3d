//! What plugin authors do with the binary: begin a project, build it, look into a module. What the gateway would say of a
//! module is said by the engine that serves.
//!
//! What it is *not*: no part of it runs in a gateway, and it knows no routes.
//!
//! The main types: [`Project`] is found or begun ([`begin_project`]) and built ([`Project::build`]); [`Inspection`] says what
//! a module is.

mod author_error;
mod begin;
mod build;
mod capabilities;
mod child_lines;
mod envoy_host;
mod expectation;
mod file_kind;
mod gateway_host;
mod inspection;
mod inspection_text;
mod message;
mod none_or;
mod one_or_more;
mod optimise;
mod packed;
mod progress;
mod project;
mod read_suite;
mod scripted_server;
mod sections;
mod suite;
mod suite_client;
mod suite_host;
mod suite_run;
mod suite_stage;
mod toolchain;

pub use author_error::AuthorError;
pub use begin::{Template, begin_project};
pub use build::Built;
pub use inspection::{Inspection, inspect};
pub use progress::Progress;
pub use project::Project;
pub use suite_run::{Stand, Verdict, run_suite};
pub use suite_stage::Strictness;
