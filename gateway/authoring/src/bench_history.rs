//! The runs of `plugin bench` that were kept: the last one of each module and exchange.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::author_error::AuthorError;
use crate::bench_run::BenchRun;

/// By the module's name, then by the exchange.
type History = BTreeMap<String, BTreeMap<String, BenchRun>>;

/// The run that was kept last; none where the file is not there or is of another version.
pub(crate) fn last_of(file: &Path, name: &str, exchange: &str) -> Option<BenchRun> {
    read(file).get(name)?.get(exchange).cloned()
}

/// Keeps a run in the place of the last one.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn keep(file: &Path, name: &str, run: &BenchRun) -> Result<(), AuthorError> {
    let mut history = read(file);
    history.entry(name.to_owned()).or_default().insert(run.exchange.clone(), run.clone());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| AuthorError::file(folder, &error))?;
    }
    let text = serde_json::to_string_pretty(&history)
        .map_err(|error| AuthorError::Failure(format!("{}: {error}", file.display())))?;
    fs::write(file, text).map_err(|error| AuthorError::file(file, &error))
}

fn read(file: &Path) -> History {
    let text = fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
