//! Where the modules of plugins come from: HTTPS servers and OCI registries. What was pulled is checked against its
//! digest and, where that is demanded, its signature, and kept for the next time.
//!
//! The other way too: a module is pushed as an image, and signed.
//!
//! What it is *not*: it compiles and runs nothing, and it does not decide when to pull.
//!
//! The main type is [`Supply`]; [`Supply::fetch`] gives a module or a [`SupplyError`] that says what is wrong.
//! [`PushRegistry`] takes what is pushed.

mod abandonment;
mod authorization;
mod cache;
mod challenge;
mod cosign;
mod error;
mod fresh_document;
mod gzip;
mod image;
mod layer;
mod manifest;
mod origin;
mod push;
mod registry;
mod request;
mod signing;
mod supply;
mod tar;
mod transport;
mod upload;
mod web;
mod written;

pub use abandonment::{Abandoned, Wanted};
pub use challenge::{Challenge, read_challenges};
pub use cosign::{Bundle, SimpleSigning};
pub use error::SupplyError;
pub use fresh_document::{DocumentSource, FreshDocument};
pub use gzip::gunzip;
pub use layer::find_module;
pub use manifest::{Descriptor, Document, Index, Manifest};
pub use origin::refuse_inward;
pub use push::{PushRegistry, PushedImage};
pub use registry::Encryption;
pub use request::{Freshness, ModuleRequest};
pub use supply::{Fetched, Supply, SupplySettings, UnsignedModules, system_bundle};
pub use tar::find_in_tar;
