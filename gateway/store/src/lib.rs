//! Bytes by name that outlive a restart: modules that were pulled, machine code that was compiled.
//!
//! What it is *not*: it knows nothing of what it keeps, and it is a cache: whoever reads has to be able to do without.
//!
//! The main type is [`Store`]: a directory that nobody else can write, in which each file proves by its SHA-256 that it
//! is whole and stands under its own name.

mod directory;
mod entry;
mod error;
mod store;

pub use directory::check_private;
pub use entry::{decode_entry, encode_entry};
pub use error::StoreError;
pub use store::Store;
