//! `plugin test`: every case of a suite through a real host, and what came out against what was expected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::author_error::AuthorError;
use crate::envoy_host::{refusal, start_envoy};
use crate::expectation::mismatches;
use crate::gateway_host::{refusals, start_gateway};
use crate::message::Message;
use crate::none_or::NoneOr;
use crate::read_suite::{line_of, read_suite};
use crate::scripted_server::ScriptedServer;
use crate::suite::{Case, Expectations, ExpectedMessage, ScriptedCall, Suite};
use crate::suite_client::send;
use crate::suite_host::SuiteHost;
use crate::suite_services::Services;
use crate::suite_stage::{Stage, Strictness};
use crate::suite_token::keys_for;

/// How long the log and the metrics may lag behind the response.
const LAG: Duration = Duration::from_secs(5);

/// Where a suite runs.
#[derive(Clone, Debug)]
pub enum Stand {
    /// In this gateway, by its binary.
    Gateway {
        /// The binary.
        program: PathBuf,
        /// How it treats what Envoy refuses.
        strictness: Strictness,
    },
    /// In an Envoy, by its binary.
    Envoy {
        /// The binary.
        program: PathBuf,
    },
}

/// How one case ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case's name.
    pub name: String,
    /// The file and line where it begins.
    pub place: String,
    /// Everything that was not as expected; nothing where the case passes.
    pub failures: Vec<String>,
    /// How long it took from request to response.
    pub took: Duration,
}

/// Runs the cases of one file, in their order.
///
/// # Errors
/// The suite cannot be read, or the host does not start.
pub async fn run_suite(
    file: &Path,
    module: &Path,
    stand: &Stand,
) -> Result<Vec<Verdict>, AuthorError> {
    let suite = read_suite(file)?;
    let world = World::open(&suite)
        .await
        .map_err(|error| AuthorError::Failure(format!("a service on loopback: {error}")))?;
    let refusals =
        refusals_on(stand, &world.stage(&suite, module, stand, |_| true), &suite).await?;
    let serving = world.stage(&suite, module, stand, |case| case.expect.refused.is_none());
    let mut host = match serving.configurations.is_empty() {
        true => None,
        false => Some(start_on(stand, &serving).await?),
    };
    let (mut verdicts, mut listener) = (Vec::new(), 0);
    for (case, refused) in suite.cases.iter().zip(refusals) {
        let begun = Instant::now();
        let failures = match (&case.value.expect.refused, refused, &mut host) {
            (Some(text), refused, _) => judge_refusal(text, refused),
            (None, Some(reason), _) => vec![format!("the filter does not start: {reason}")],
            (None, None, Some(host)) => world.run(&case.value, host, listener).await,
            (None, None, None) => Vec::new(),
        };
        listener += usize::from(case.value.expect.refused.is_none());
        let place = format!("{}:{}", file.display(), line_of(case));
        verdicts.push(Verdict {
            name: case.value.name.clone(),
            place,
            failures,
            took: begun.elapsed(),
        });
    }
    Ok(verdicts)
}

fn judge_refusal(text: &str, refused: Option<String>) -> Vec<String> {
    match refused {
        Some(reason) if reason.contains(text) => Vec::new(),
        Some(reason) => {
            vec![format!("the configuration is refused, but not for {text:?}: {reason}")]
        }
        None => vec!["the configuration is not refused".to_owned()],
    }
}

async fn start_on(stand: &Stand, stage: &Stage) -> Result<SuiteHost, AuthorError> {
    match stand {
        Stand::Gateway { program, .. } => start_gateway(program, stage).await,
        Stand::Envoy { program } => start_envoy(program, stage).await,
    }
}

/// Why each case's filter does not start; an Envoy is only asked of those that are not to.
async fn refusals_on(
    stand: &Stand,
    stage: &Stage,
    suite: &Suite,
) -> Result<Vec<Option<String>>, AuthorError> {
    match stand {
        Stand::Gateway { program, .. } => refusals(program, stage).await,
        Stand::Envoy { program } => {
            let mut found = Vec::new();
            for (number, case) in suite.cases.iter().enumerate() {
                found.push(match case.value.expect.refused {
                    Some(_) => refusal(program, stage, number).await?,
                    None => None,
                });
            }
            Ok(found)
        }
    }
}

/// What is around the filter, for all cases one after the other.
struct World {
    upstream: ScriptedServer,
    services: Services,
}

impl World {
    async fn open(suite: &Suite) -> std::io::Result<Self> {
        let services = Services::open(suite.cases.iter().map(|case| &case.value)).await?;
        Ok(World { upstream: ScriptedServer::start().await?, services })
    }

    fn stage(
        &self,
        suite: &Suite,
        module: &Path,
        stand: &Stand,
        chosen: impl Fn(&Case) -> bool,
    ) -> Stage {
        let cases = suite.cases.iter().map(|case| &case.value).filter(|case| chosen(case));
        Stage {
            module: module.to_owned(),
            configurations: cases
                .map(|case| case.configuration.clone().or_else(|| suite.configuration.clone()))
                .collect(),
            upstream: self.upstream.address(),
            services: self.services.addresses(),
            keys: keys_for(suite),
            strictness: match stand {
                Stand::Gateway { strictness, .. } => *strictness,
                Stand::Envoy { .. } => Strictness::Lenient,
            },
        }
    }

    /// What was not as expected.
    async fn run(&self, case: &Case, host: &mut SuiteHost, listener: usize) -> Vec<String> {
        let Some(address) = host.addresses.get(listener).copied() else {
            return vec!["there is no listener for it".to_owned()];
        };
        self.begin(case);
        host.child.drain();
        let before = match self.metrics(case, host, listener).await {
            Ok(before) => before,
            Err(error) => return vec![error.to_string()],
        };
        let mut failures = match send(address, &case.request).await {
            Ok(response) => self.judge(&case.expect, &response),
            Err(error) => vec![error],
        };
        failures.extend(self.services.complaints());
        failures.extend(await_log(&case.expect, host).await);
        failures.extend(self.await_metrics(case, host, listener, &before).await);
        failures
    }

    fn begin(&self, case: &Case) {
        let answer = Some(NoneOr::This(case.response.clone()));
        let anything =
            ScriptedCall { cluster: String::new(), expect: ExpectedMessage::default(), answer };
        self.upstream.begin(vec![anything]);
        self.services.begin([case]);
    }

    fn judge(&self, expect: &Expectations, response: &Message) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(expected) = &expect.response {
            failures.extend(
                mismatches(expected, response)
                    .into_iter()
                    .map(|what| format!("of the response, {what}")),
            );
        }
        let seen = self.upstream.seen();
        match (&expect.request, seen.first()) {
            (None, _) | (Some(NoneOr::None), None) => {}
            (Some(NoneOr::None), Some(_)) => failures.push("the upstream was asked".to_owned()),
            (Some(NoneOr::This(_)), None) => failures.push("the upstream was not asked".to_owned()),
            (Some(NoneOr::This(expected)), Some(message)) => {
                failures.extend(
                    mismatches(expected, message)
                        .into_iter()
                        .map(|what| format!("at the upstream, {what}")),
                );
            }
        }
        let calls = self.services.calls();
        if let Some(expected) = expect.calls.filter(|expected| *expected != calls) {
            failures.push(format!("the filter made {calls} calls, not {expected}"));
        }
        failures
    }

    async fn metrics(
        &self,
        case: &Case,
        host: &SuiteHost,
        listener: usize,
    ) -> Result<BTreeMap<String, u64>, AuthorError> {
        let mut values = BTreeMap::new();
        for name in case.expect.metrics.keys() {
            values.insert(name.clone(), host.metric(name, listener).await?);
        }
        Ok(values)
    }

    /// Metrics that are counted after the response may come a moment later.
    async fn await_metrics(
        &self,
        case: &Case,
        host: &SuiteHost,
        listener: usize,
        before: &BTreeMap<String, u64>,
    ) -> Vec<String> {
        let until = Instant::now() + LAG;
        loop {
            let now = match self.metrics(case, host, listener).await {
                Ok(now) => now,
                Err(error) => return vec![error.to_string()],
            };
            let grown = |name: &String| {
                let (now, before) = (now.get(name).copied(), before.get(name).copied());
                now.unwrap_or(0).saturating_sub(before.unwrap_or(0))
            };
            let wrong =
                case.expect.metrics.iter().filter(|(name, expected)| grown(name) != **expected);
            let failures: Vec<String> = wrong
                .map(|(name, expected)| {
                    format!("the metric `{name}` grew by {}, not {expected}", grown(name))
                })
                .collect();
            if failures.is_empty() || Instant::now() > until {
                return failures;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Each text that the filter has to log, as far as it does not come.
async fn await_log(expect: &Expectations, host: &mut SuiteHost) -> Vec<String> {
    let mut heard = host.child.drain();
    let mut failures = Vec::new();
    for text in &expect.log {
        let said = heard.iter().any(|line| line.contains(text.as_str()));
        if !said && !host.child.wait_for(text, LAG, &mut heard).await {
            failures.push(format!("no line of the log contains {text:?}"));
        }
    }
    failures
}
