//! The program's own log: standard error, one line a message, its level changeable while it runs.

use std::sync::Arc;

use portcullis_admin::SetLogLevel;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

/// Starts logging from a level on.
///
/// # Errors
/// Names the levels where `level` is none of them.
pub(crate) fn start(level: &str) -> Result<SetLogLevel, String> {
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| format!("the log is started already: {error}"))?;
    Ok(Arc::new(move |level| {
        handle.reload(parse(level)?).map_err(|error| format!("the level was not changed: {error}"))
    }))
}

fn parse(level: &str) -> Result<LevelFilter, String> {
    level.parse().map_err(|_| {
        format!("`{level}` is no log level; the levels are off, error, warn, info, debug and trace")
    })
}
