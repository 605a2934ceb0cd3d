//! Why there is no store, or why it took nothing.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no store, or why it took nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {why}", path = path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// In the system's words.
        why: String,
    },
    /// Somebody else could have written what is in it.
    #[error("{path} is not used: {why}", path = path.display())]
    Exposed {
        /// Where.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// It is larger than the whole store may be.
    #[error("{size} bytes are more than the store holds")]
    TooLarge {
        /// In bytes.
        size: u64,
    },
}

impl StoreError {
    pub(crate) fn of(path: &Path, error: &io::Error) -> Self {
        StoreError::System { path: path.to_owned(), why: error.to_string() }
    }
}
