//! Why a command ended without doing its work.

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// It was called wrongly: exit status 2.
    Usage(String),
    /// It failed: exit status 1.
    Failure(String),
}

impl CommandError {
    /// A failure of one thing for a reason.
    pub(crate) fn failure(what: &str, error: impl std::fmt::Display) -> Self {
        CommandError::Failure(format!("{what}: {error}"))
    }
}
