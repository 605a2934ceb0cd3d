//! `portcullis explain`: where a request goes and why, by the matcher that serves.

use std::io::Write as _;
use std::process::ExitCode;

use portcullis_snapshot::{RequestToExplain, describe, explain as explain_request};

use crate::args::ExplainArguments;
use crate::command_error::CommandError;
use crate::offline::compile;
use crate::output::Output;

/// Explains one request on standard output.
pub(crate) fn explain(arguments: &ExplainArguments) -> Result<ExitCode, CommandError> {
    let request = read_request(arguments).map_err(CommandError::Usage)?;
    let snapshot = compile(&arguments.configuration)?;
    let explanation = explain_request(&snapshot, &request);
    let text = match arguments.output {
        Output::Json => serde_json::to_string_pretty(&explanation)
            .map_err(|error| CommandError::failure("the explanation cannot be written", error))?,
        Output::Text => describe(&request, &explanation),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())
        .map_err(|error| CommandError::failure("standard output", error))?;
    Ok(ExitCode::SUCCESS)
}

fn read_request(arguments: &ExplainArguments) -> Result<RequestToExplain, String> {
    let (method, url) = match arguments.request.as_slice() {
        [url] => ("GET", url),
        [method, url] => (method.as_str(), url),
        _ => return Err("say [METHOD] URL".to_owned()),
    };
    let mut request = RequestToExplain::new(method, url)?;
    request.client = arguments.client;
    arguments.headers.iter().try_for_each(|field| request.add_field(field))?;
    Ok(request)
}
