//! What `plugin dev` is asked for.

use std::path::PathBuf;

/// What `plugin dev` was asked for.
#[derive(Clone, Debug)]
pub struct DevSettings {
    /// The gateway's binary.
    pub program: PathBuf,
    /// The port on loopback; 0 picks one.
    pub port: u16,
}
