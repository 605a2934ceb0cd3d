//! A bound on waiting, so that a broken test fails and does not hang.

use std::time::Duration;

/// How long anything here waits before it panics. It says nothing of how fast things should be.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits something that has to happen.
///
/// # Panics
/// When it did not happen within [`PATIENCE`]; `what` is in the message.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}
