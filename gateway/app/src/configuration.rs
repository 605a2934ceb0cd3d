//! The configuration as it stands on disk, for commands that serve nothing.

use std::path::PathBuf;

use portcullis_manifests::status::ObjectStatus;
use portcullis_manifests::{CertificateFiles, Conversion, Memory, Premises, into_model_with};
use portcullis_model::{Model, Problem};
use portcullis_sources::FileSource;

use crate::certificate_files::read_certificate_file;
use crate::command_error::CommandError;
use crate::compatibility::Compatibility;
use crate::workload::Workload;

/// What a configuration comes to.
pub(crate) struct Configuration {
    /// What would be served.
    pub(crate) model: Model,
    /// All that is wrong.
    pub(crate) problems: Vec<Problem>,
    /// What became of the objects that have a status.
    pub(crate) status: Vec<ObjectStatus>,
}

/// The configuration as it stands on disk, and all that is wrong with it.
pub(crate) fn read_configuration(
    paths: &[PathBuf],
    workload: &Workload,
    compat: Option<Compatibility>,
) -> Result<Configuration, CommandError> {
    require_paths(paths)?;
    let runtime = control_runtime()?;
    let update = runtime.block_on(FileSource::new(paths.to_vec()).latest_draft());
    let files = CertificateFiles::new(&workload.mesh_certificates, &read_certificate_file);
    let premises = premises(compat, workload, &files);
    let mut conversion = into_model_with(&update.draft, &Memory::default(), premises);
    let mut problems = update.problems;
    problems.extend(std::mem::take(&mut conversion.problems));
    let Conversion { model, status, .. } = conversion;
    Ok(Configuration { model, problems, status })
}

/// What is true of a gateway.
pub(crate) fn premises<'p>(
    compat: Option<Compatibility>,
    workload: &'p Workload,
    files: &'p CertificateFiles<'p>,
) -> Premises<'p> {
    let namespace = workload.namespace.as_deref();
    Premises {
        head_rules: Compatibility::head_rules(compat),
        joints: Compatibility::joints(compat),
        labels: &workload.labels,
        namespace,
        files,
    }
}

/// Refuses what is not there.
pub(crate) fn require_paths(paths: &[PathBuf]) -> Result<(), CommandError> {
    match paths.iter().find(|path| !path.exists()) {
        Some(path) => Err(CommandError::Usage(format!(
            "{}: there is no such file or directory",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// The runtime for everything that serves no request.
pub(crate) fn control_runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failure("the control runtime does not start", error))
}
