//! Whether there is memory left for further requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How short memory is. Shared by every worker; read once for each request.
#[derive(Clone, Debug, Default)]
pub struct Overload(Arc<AtomicU8>);

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverloadLevel {
    /// There is enough.
    #[default]
    None,
    /// Connections are asked to go; requests are served.
    Draining,
    /// New requests are refused with 503.
    Refusing,
}

impl Overload {
    /// The present level.
    pub fn level(&self) -> OverloadLevel {
        match self.0.load(Ordering::Relaxed) {
            0 => OverloadLevel::None,
            1 => OverloadLevel::Draining,
            _ => OverloadLevel::Refusing,
        }
    }

    /// From now on.
    pub fn set(&self, level: OverloadLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
    }
}
