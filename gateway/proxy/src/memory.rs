//! Whether there is memory for another request.

use crate::flight::Flight;
use crate::{OverloadLevel, ProxyError};

/// Refuses a request while memory is short.
pub(crate) fn check_memory(flight: &Flight) -> Result<(), ProxyError> {
    let settings = &flight.worker.settings;
    if settings.overload.level() < OverloadLevel::Refusing {
        return Ok(());
    }
    settings.counts.refused_for_memory();
    Err(ProxyError::Overloaded)
}
