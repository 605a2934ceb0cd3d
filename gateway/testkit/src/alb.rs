//! A small Application Load Balancer: health checks, connections kept for reuse, slow deregistration.

mod checks;
mod target;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::call::{Call, Reply};
use crate::patience::within;
use target::Target;
pub use target::TargetState;

/// Times and thresholds of a target group, and of the balancer before it.
#[derive(Clone, Copy, Debug)]
pub struct AlbSettings {
    /// Between two health checks of a target.
    pub check_interval: Duration,
    /// Checks in a row until a target counts as healthy.
    pub healthy_threshold: u32,
    /// Failed checks in a row until it counts as unhealthy.
    pub unhealthy_threshold: u32,
    /// How long requests are still sent to a target after its deregistration began.
    pub deregistration_lag: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

impl Default for AlbSettings {
    /// As an ALB comes, with the lag that is seen on one.
    fn default() -> Self {
        AlbSettings {
            check_interval: Duration::from_secs(15),
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            deregistration_lag: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// The balancer with one target group. It answers 502 where a connection breaks, 503 where there is no target.
///
/// Like an ALB it prefers the connection that was used last, sends a request once, and adds `X-Forwarded-*`.
#[derive(Clone, Debug)]
pub struct Alb {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: AlbSettings,
    targets: Mutex<Vec<Arc<Target>>>,
    changes: watch::Sender<u64>,
    sent: AtomicUsize,
}

impl Alb {
    /// A balancer without targets. Needs a running tokio runtime later.
    pub fn new(settings: AlbSettings) -> Self {
        let (targets, changes) = (Mutex::default(), watch::Sender::default());
        Alb { shared: Arc::new(Shared { settings, targets, changes, sent: AtomicUsize::new(0) }) }
    }

    /// Registers a target: where its traffic goes, and where `/healthz/ready` is asked.
    pub fn register(&self, traffic: SocketAddr, health: SocketAddr) {
        let target = Arc::new(Target::new(traffic));
        self.shared.targets.lock().unwrap().push(target.clone());
        tokio::spawn(checks::keep_checking(self.shared.clone(), target, health));
    }

    /// Begins to deregister a target: requests still go there for the lag.
    pub fn deregister(&self, traffic: SocketAddr) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(shared.settings.deregistration_lag).await;
            shared.targets.lock().unwrap().retain(|target| {
                let leaves = target.address == traffic;
                if leaves {
                    target.enter(TargetState::Gone);
                }
                !leaves
            });
            shared.announce();
        });
    }

    /// Awaits the moment when so many targets are registered, all of them healthy.
    pub async fn until_healthy(&self, count: usize) {
        let all = || {
            let targets = self.shared.targets.lock().unwrap();
            targets.len() == count && targets.iter().all(|t| t.state() == TargetState::Healthy)
        };
        let mut changes = self.shared.changes.subscribe();
        within("healthy targets", changes.wait_for(|_| all())).await.unwrap();
    }

    /// Sends a request to the next target; the reply, or the balancer's own status.
    pub async fn send(&self, call: Call) -> Result<Reply, u16> {
        let target = self.next_target().ok_or(503_u16)?;
        let call = call
            .header("x-forwarded-for", "203.0.113.7")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-port", "443")
            .header("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678");
        target.send(call, self.shared.settings.idle_timeout).await
    }

    /// How many idle connections are kept.
    pub fn idle_connections(&self) -> usize {
        self.shared.targets.lock().unwrap().iter().map(|target| target.idle()).sum()
    }

    /// Round robin over the healthy ones; over all where none is, as an ALB does.
    fn next_target(&self) -> Option<Arc<Target>> {
        let targets = self.shared.targets.lock().unwrap();
        let healthy: Vec<_> =
            targets.iter().filter(|target| target.state() == TargetState::Healthy).collect();
        let open = if healthy.is_empty() { targets.iter().collect() } else { healthy };
        let turn = self.shared.sent.fetch_add(1, Ordering::Relaxed);
        open.get(turn % open.len().max(1)).map(|target| Arc::clone(target))
    }
}

impl Shared {
    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}
