//! What is kept of modules: their bytes by digest, and what names led to.

use std::path::Path;

use portcullis_crypto::{hex, sha256};
use portcullis_model::{PluginModule, PullCredentials};
use portcullis_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::ModuleRequest;

/// All modules together, in bytes.
const LIMIT: u64 = 1 << 30;

/// The cache; without a directory it keeps nothing.
pub(crate) struct Cache {
    store: Option<Store>,
}

/// What a name led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lead {
    /// The module's SHA-256 in hex.
    pub(crate) module: String,
    /// The keys, by fingerprint, that vouched for it.
    pub(crate) signed_by: Vec<String>,
}

impl Cache {
    /// In the directory `modules` of the state directory.
    pub(crate) fn open(state_dir: Option<&Path>) -> Result<Self, StoreError> {
        let open = |directory: &Path| Store::open(&directory.join("modules"), LIMIT);
        Ok(Cache { store: state_dir.map(open).transpose()? })
    }

    /// What a request's name led to when it was last fetched.
    pub(crate) fn lead(&self, request: &ModuleRequest) -> Option<Lead> {
        let kept = self.store.as_ref()?.read(&lead_name(request))?;
        serde_json::from_slice(&kept).ok()
    }

    /// The module of a digest in hex.
    pub(crate) fn module(&self, digest: &str) -> Option<Vec<u8>> {
        let module = self.store.as_ref()?.read(&module_name(digest))?;
        (hex(&sha256(&module)) == digest).then_some(module)
    }

    /// Keeps what was fetched. A cache that is full or broken holds up nothing. Whoever vouched for the same module
    /// before has not ceased to: objects that demand different keys share what is kept.
    pub(crate) fn keep(&self, request: &ModuleRequest, mut lead: Lead, module: &[u8]) {
        let Some(store) = &self.store else { return };
        if let Some(before) = self.lead(request).filter(|before| before.module == lead.module) {
            let more = before.signed_by.into_iter().filter(|key| !lead.signed_by.contains(key));
            let more: Vec<_> = more.collect();
            lead.signed_by.extend(more);
        }
        let kept = store.write(&module_name(&lead.module), module).and_then(|()| {
            let text = serde_json::to_vec(&lead).unwrap_or_default();
            store.write(&lead_name(request), &text)
        });
        if let Err(error) = kept {
            tracing::warn!("a module is not kept for the next start: {error}");
        }
    }
}

fn module_name(digest: &str) -> String {
    format!("module {digest}")
}

/// Whoever has not shown that the registry gives it to them does not get it from the cache either: the name and
/// password are part of the name.
fn lead_name(request: &ModuleRequest) -> String {
    let login = match (&request.module, &request.supply.credentials) {
        (PluginModule::Image(image), PullCredentials::Known(known)) => known.of(&image.registry),
        _ => None,
    };
    let asker =
        login.map(|login| hex(&sha256(format!("{}\n{}", login.name, login.password).as_bytes())));
    format!("lead {} {}", request.module, asker.unwrap_or_default())
}
