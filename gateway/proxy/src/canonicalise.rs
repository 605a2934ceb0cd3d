//! The head of a request that a plugin changed, brought back into its canonical form.

use portcullis_exchange::RequestHead;
use portcullis_message::{Canonical, HeadRules, canonical_path_for, check_authority};

use crate::ProxyError;

/// What a plugin set is held to the same rules as what a client sends to the listener.
pub(crate) fn canonicalise_again(
    request: &mut RequestHead,
    rules: HeadRules,
) -> Result<(), ProxyError> {
    match canonical_path_for(&request.method, &request.path, rules) {
        Ok(Canonical::AsSent) => {}
        Ok(Canonical::Changed(path)) => request.path = path,
        Err(_) => return Err(ProxyError::ChangedHeadRefused("plugin_path_refused")),
    }
    // HTTP/1.0 may have none.
    if !request.authority.is_empty() && check_authority(request.authority.as_bytes()).is_err() {
        return Err(ProxyError::ChangedHeadRefused("plugin_host_refused"));
    }
    Ok(())
}
