//! What is wanted of the supply.

use portcullis_model::{PluginModule, PluginSupply};

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRequest {
    /// From where: a URL or an image.
    pub module: PluginModule,
    /// The SHA-256 that it must have, in lower-case hex.
    pub sha256: Option<String>,
    /// With whose word, as whom.
    pub supply: PluginSupply,
    /// At most so many bytes.
    pub limit: usize,
}

impl ModuleRequest {
    /// The SHA-256 that the module itself must have. Istio wants the digest of an image's url again in `sha256`: what
    /// that names is checked already.
    pub(crate) fn wanted_module(&self) -> Option<&String> {
        let PluginModule::Image(image) = &self.module else { return self.sha256.as_ref() };
        let named = image.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
        self.sha256.as_ref().filter(|wanted| named != Some(wanted.as_str()))
    }
}

/// Whether what is kept will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It will.
    Kept,
    /// It is to be fetched anew; what is kept stands in where nobody answers.
    Anew,
    /// It has to: nothing is fetched.
    KeptOnly,
}
