//! What the commands for authors of plugins share.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_authoring::AuthorError;
use portcullis_wasm::Engine;

use crate::command_error::CommandError;

/// This program, to be started beside itself.
pub(super) fn own_program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().map_err(|error| CommandError::failure("this program", error))
}

/// A runtime for commands: nothing here is a worker.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failure("the runtime", error))
}

/// The engine that serves.
pub(super) fn engine() -> Result<Arc<Engine>, CommandError> {
    Engine::new().map_err(|error| CommandError::Failure(error.to_string()))
}

impl From<AuthorError> for CommandError {
    fn from(error: AuthorError) -> Self {
        match error {
            AuthorError::Usage(message) => CommandError::Usage(message),
            AuthorError::Failure(message) => CommandError::Failure(message),
        }
    }
}
