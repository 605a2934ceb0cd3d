//! The health checks of one target.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::target::{Target, TargetState};
use super::{AlbSettings, Shared};
use crate::client::Client;

/// Checks a target until it is gone. Each check has a connection of its own, as an ALB's has.
pub(super) async fn keep_checking(shared: Arc<Shared>, target: Arc<Target>, health: SocketAddr) {
    let AlbSettings { check_interval, healthy_threshold, unhealthy_threshold, .. } =
        shared.settings;
    let (mut passed, mut failed) = (0, 0);
    while target.state() != TargetState::Gone {
        if is_ready(health, check_interval).await {
            (passed, failed) = (passed + 1, 0);
        } else {
            (passed, failed) = (0, failed + 1);
        }
        let state = match (passed, failed) {
            (passed, _) if passed >= healthy_threshold => Some(TargetState::Healthy),
            (_, failed) if failed >= unhealthy_threshold => Some(TargetState::Unhealthy),
            _ => None,
        };
        if let Some(state) = state {
            target.enter(state);
            shared.announce();
        }
        tokio::time::sleep(check_interval).await;
    }
}

async fn is_ready(health: SocketAddr, timeout: Duration) -> bool {
    let check = async {
        let mut client = Client::http1(health).await.ok()?;
        let reply = client.try_call(crate::Call::get("10.0.0.1", "/healthz/ready")).await.ok()?;
        (reply.status == 200).then_some(())
    };
    matches!(tokio::time::timeout(timeout.max(Duration::from_secs(5)), check).await, Ok(Some(())))
}
