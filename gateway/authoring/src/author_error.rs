//! Why a command for authors did not do its work.

use std::path::Path;

/// Why it did not, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// It was called wrongly.
    #[error("{0}")]
    Usage(String),
    /// Something that it needs failed.
    #[error("{0}")]
    Failure(String),
}

impl AuthorError {
    /// A file or directory could not be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        AuthorError::Failure(format!("{}: {error}", path.display()))
    }
}
