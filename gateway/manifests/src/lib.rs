//! Kubernetes manifests to the configuration that is served: [`SourceFile`]s are read into a [`Draft`]
//! (what was written, with file and line), and [`into_model`] makes of it a valid
//! [`Model`](portcullis_model::Model) and the list of everything that is wrong.
//!
//! What it is *not*: it does no I/O. It neither reads files nor watches them, and a plugin's module is
//! only a path here.

mod certificate_files;
pub mod codes;
mod convert;
mod deep_threads;
mod documents;
mod draft;
mod duplicate_keys;
mod json;
mod kinds;
mod last_good;
mod metadata;
mod names;
mod parsed;
mod raw_object;
mod read_document;
mod reader;
mod report;
mod route_tests;
mod scalars;
pub mod status;
mod suggest;
mod written_path;
mod yaml;

pub use certificate_files::CertificateFiles;
pub use convert::{Conversion, Joints, Memory, Premises, into_model, into_model_with};
pub use draft::{Draft, SourceFile};
pub use kinds::read_pull_credentials;
pub use route_tests::{CaseRequest, Expectation, RouteCase, Wanted, read_route_tests};
