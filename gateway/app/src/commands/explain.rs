//! `portcullis explain`: where a request goes and why, by the matcher that serves.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use portcullis_snapshot::{
    Compiled, Compiler, Explanation, RequestToExplain, explain as explain_request,
};
use portcullis_telemetry::Registry;

use super::read_configuration;
use crate::args::{Compatibility, ExplainArguments, Output};
use crate::command_error::CommandError;
use crate::locality::home;

/// Explains one request on standard output.
pub(crate) fn explain(arguments: &ExplainArguments) -> Result<ExitCode, CommandError> {
    let request = read_request(arguments).map_err(CommandError::Usage)?;
    let head_rules = Compatibility::head_rules(arguments.compat);
    let (model, problems) =
        read_configuration(&arguments.config, &arguments.mesh_certificates, head_rules)?;
    let home = home(arguments.locality.as_ref(), &arguments.label, None);
    let mut compiler = Compiler::new(Registry::new(), None).with_home(home);
    let snapshot = match compiler.compile(model, problems, None) {
        Compiled::Changed(snapshot) => *snapshot,
        Compiled::Unchanged => compiler.empty(),
    };
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
    let method: Method = method.parse().map_err(|_| format!("`{method}` is not a method"))?;
    let uri: Uri = url
        .parse()
        .map_err(|_| format!("`{url}` is not a URL such as https://shop.example.com/cart"))?;
    let (scheme, default_port) = match uri.scheme_str() {
        Some("http") => ("http", 80),
        Some("https") => ("https", 443),
        _ => return Err(format!("`{url}` has to begin with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?.as_str();
    let mut request = RequestToExplain {
        method,
        scheme,
        port: uri.port_u16().unwrap_or(default_port),
        authority: authority.parse().map_err(|_| format!("`{authority}` is not a host"))?,
        path: uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: HeaderMap::new(),
    };
    for field in &arguments.headers {
        let (name, value) = read_header(field)?;
        if name == http::header::HOST {
            request.authority = value;
        } else {
            request.headers.append(name, value);
        }
    }
    Ok(request)
}

fn read_header(field: &str) -> Result<(HeaderName, HeaderValue), String> {
    let refused = || format!("`{field}` is not a header field such as `x-user: ann`");
    let (name, value) = field.split_once(':').ok_or_else(refused)?;
    let name = name.trim().parse().map_err(|_| refused())?;
    let value = value.trim().parse().map_err(|_| refused())?;
    Ok((name, value))
}

fn describe(request: &RequestToExplain, explanation: &Explanation) -> String {
    let authority = request.authority.to_str().unwrap_or("?");
    let asked = format!("{} {}://{authority}{}\n", request.method, request.scheme, request.path);
    let mut report = Report(asked);
    let status = explanation.status.map(|status| format!(" ({status})")).unwrap_or_default();
    report.line("outcome", &format!("{}{status}", explanation.outcome));
    if let Some(refusal) = &explanation.refusal {
        report.line("refusal", refusal);
    }
    if explanation.reserved.is_some() {
        report.line("reserved", "the gateway itself answers this path, whatever the rules say");
        return report.0;
    }
    report.choice(explanation);
    report.way_upstream(explanation);
    report.0
}

/// Lines of a name and a value, below what was asked.
struct Report(String);

impl Report {
    fn line(&mut self, name: &str, value: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "  {name:<11}{value}");
    }

    /// Which listener and rule take it, and which were considered.
    fn choice(&mut self, explanation: &Explanation) {
        let nobody = "none takes this host on this port";
        self.line("listener", explanation.listener.as_deref().unwrap_or(nobody));
        self.line("host", explanation.host.as_deref().unwrap_or("none"));
        match (&explanation.route, &explanation.source) {
            (Some(route), Some(source)) => {
                self.line("route", &format!("{route}  ({}:{})", source.file, source.line))
            }
            _ => self.line("route", "none"),
        }
        for rule in &explanation.considered {
            let mark = if rule.matched { "took it" } else { "lost" };
            let place = format!("{}:{}", rule.source.file, rule.source.line);
            self.line("considered", &format!("{}  {mark}: {}  ({place})", rule.route, rule.reason));
        }
    }

    /// What it passes through and where it goes.
    fn way_upstream(&mut self, explanation: &Explanation) {
        self.line("filters", &or_none(&explanation.filters));
        self.line("plugins", &or_none(&explanation.plugins));
        for plugin in &explanation.plugin_chain {
            let (phase, priority) = (plugin.phase, plugin.priority);
            let why = format!("{phase} {priority}, on {}", plugin.attached_to);
            self.line("plugin", &format!("{}  {why}  {}", plugin.plugin, plugin.fail_strategy));
        }
        for cluster in &explanation.clusters {
            let endpoints = cluster.endpoints.iter();
            let endpoints = endpoints.map(|each| format!("{} {}", each.address, each.state));
            let endpoints = or_none(&endpoints.collect::<Vec<_>>());
            let (name, weight) = (&cluster.name, cluster.weight);
            self.line("cluster", &format!("{name} weight {weight}: {endpoints}"));
        }
        if let Some(sent) = &explanation.upstream_request {
            let sent = format!("{} {} (host {})", sent.method, sent.path, sent.authority);
            self.line("upstream", &sent);
        }
    }
}

fn or_none(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}
