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
