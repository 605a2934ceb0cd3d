//! The services that a filter calls, as suites script them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::author_error::AuthorError;
use crate::read_suite::read_suite;
use crate::scripted_server::ScriptedServer;
use crate::suite::Case;

/// A service for each cluster that some case scripts.
#[derive(Debug)]
pub(crate) struct Services {
    servers: BTreeMap<String, ScriptedServer>,
}

impl Services {
    /// Starts the services of these cases; none answers before [`Services::begin`].
    pub(crate) async fn open(cases: impl Iterator<Item = &Case>) -> io::Result<Self> {
        let mut servers = BTreeMap::new();
        for call in cases.flat_map(|case| &case.calls) {
            if !servers.contains_key(&call.cluster) {
                servers.insert(call.cluster.clone(), ScriptedServer::start().await?);
            }
        }
        Ok(Services { servers })
    }

    /// Those of all suites in a folder, answering all that any case scripts; a suite that cannot be read has none.
    pub(crate) async fn of_suites(folder: &Path) -> io::Result<Self> {
        let suites = suites_in(folder).unwrap_or_default();
        let suites: Vec<_> = suites.iter().filter_map(|file| read_suite(file).ok()).collect();
        let cases = || suites.iter().flat_map(|suite| &suite.cases).map(|case| &case.value);
        let services = Services::open(cases()).await?;
        services.begin(cases());
        Ok(services)
    }

    /// Answers what these cases script, and forgets what was asked before.
    pub(crate) fn begin<'a>(&self, cases: impl IntoIterator<Item = &'a Case>) {
        let calls: Vec<_> = cases.into_iter().flat_map(|case| &case.calls).collect();
        for (name, server) in &self.servers {
            server.begin(
                calls
                    .iter()
                    .filter(|call| call.cluster == *name)
                    .map(|call| (*call).clone())
                    .collect(),
            );
        }
    }

    /// Where each one is, by cluster.
    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.servers.iter().map(|(name, server)| (name.clone(), server.address())).collect()
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.servers.values().map(|server| server.seen().len()).sum()
    }

    /// The calls that fitted nothing.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let of = |(name, server): (&String, &ScriptedServer)| {
            server
                .complaints()
                .into_iter()
                .map(|what| format!("the call to `{name}`: {what}"))
                .collect::<Vec<_>>()
        };
        self.servers.iter().flat_map(of).collect()
    }
}

/// The suites in a folder, by name.
///
/// # Errors
/// The folder cannot be read, or holds none.
pub fn suites_in(folder: &Path) -> Result<Vec<PathBuf>, AuthorError> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        AuthorError::Usage(format!(
            "{}: {error}; write a suite there, or name one with --suite",
            folder.display()
        ))
    })?;
    let is_suite =
        |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let mut suites: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_suite).collect();
    suites.sort();
    if suites.is_empty() {
        return Err(AuthorError::Usage(format!("{} holds no suite (*.yaml)", folder.display())));
    }
    Ok(suites)
}
