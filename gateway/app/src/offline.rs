//! A configuration that is compiled to be asked, not served: `explain` and `test`.

use std::path::PathBuf;

use clap::Args;
use portcullis_model::Severity;
use portcullis_snapshot::{Compiled, Compiler, Snapshot};
use portcullis_telemetry::Registry;

use crate::command_error::CommandError;
use crate::compatibility::Compatibility;
use crate::configuration::{Configuration, read_configuration};
use crate::locality::{LocalityArgument, home};
use crate::workload::WorkloadArguments;

/// What says which configuration, and of which gateway.
#[derive(Debug, Args)]
pub(crate) struct OfflineArguments {
    /// A file or directory of manifests; may be repeated.
    #[arg(
        long,
        env = "PORTCULLIS_CONFIG",
        value_delimiter = ',',
        required = true,
        value_name = "PATH"
    )]
    pub config: Vec<PathBuf>,
    /// Where this gateway runs, as REGION/ZONE/SUBZONE: nearer endpoints take its requests first, where a
    /// DestinationRule asks for that.
    #[arg(long, env = "PORTCULLIS_LOCALITY", value_name = "LOCALITY")]
    pub locality: Option<LocalityArgument>,
    /// What this gateway is in its cluster.
    #[command(flatten)]
    pub workload: WorkloadArguments,
    /// Behave as another gateway where ours is safer.
    #[arg(long, env = "PORTCULLIS_COMPAT", value_enum)]
    pub compat: Option<Compatibility>,
}

/// The snapshot that would serve, but for plugins, which are not started.
pub(crate) fn compile(arguments: &OfflineArguments) -> Result<Snapshot, CommandError> {
    let workload = arguments.workload.workload();
    let Configuration { model, problems, .. } =
        read_configuration(&arguments.config, &workload, arguments.compat)?;
    let home = home(arguments.locality.as_ref(), workload.labels, None);
    let mut compiler = Compiler::new(Registry::new(), None).with_home(home);
    Ok(match compiler.compile(model, problems, None) {
        Compiled::Changed(snapshot) => *snapshot,
        Compiled::Unchanged => compiler.empty(),
    })
}

/// A line on errors of the configuration, whose objects are left out; `None` where there are none.
pub(crate) fn caution(snapshot: &Snapshot) -> Option<String> {
    let is_error = |problem: &&portcullis_model::Problem| problem.severity == Severity::Error;
    let first = snapshot.problems.iter().find(is_error)?;
    let number = snapshot.problems.iter().filter(is_error).count();
    Some(format!(
        "portcullis: {number} of the configuration's objects or fields are wrong and not served as written, the first at {}; \
         see `portcullis validate`",
        first.origin
    ))
}
