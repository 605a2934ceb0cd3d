//! `portcullis version`

use std::io::Write;
use std::process::ExitCode;

use crate::command_error::CommandError;

/// Version, commit, features, engine version.
pub(crate) fn version() -> Result<ExitCode, CommandError> {
    let text = format!(
        "portcullis {}\ncommit {}\nfeatures http1 http2 tls wasm\nengine wasmtime {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("PORTCULLIS_COMMIT"),
        env!("PORTCULLIS_ENGINE"),
    );
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CommandError::failure("standard output", error))?;
    Ok(ExitCode::SUCCESS)
}
