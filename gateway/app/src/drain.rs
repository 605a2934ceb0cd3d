//! The end of serving: what is in flight ends by itself, or is cut when its time is over.

use std::time::Duration;

use portcullis_edge::{Idle, Workers};
use portcullis_proxy::CutReason;

use crate::signals::Signals;

/// What a drain waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long new connections are accepted after its begin.
    pub delay: Duration,
    /// How long what is in flight may take after that.
    pub timeout: Duration,
}

/// New connections are accepted through the delay, and every response closes its connection. A further signal
/// ends everything.
pub(crate) async fn drain(workers: &Workers, signals: &mut Signals, patience: Patience) {
    workers.begin_drain();
    let Patience { delay, timeout } = patience;
    tracing::info!(?delay, ?timeout, "draining");
    let drained = async {
        tokio::time::sleep(delay).await;
        workers.stop_accepting();
        workers.wait_idle(timeout).await
    };
    tokio::select! {
        idle = drained => end(workers, idle),
        () = signals.next_end() => cut_at_once(workers),
    }
}

/// Another process accepts from our sockets by now. Connections without a request are left alone through the
/// delay, for one of their clients may just be sending; each is told to go by its next response.
///
/// The first signal that asks for the end asks for what is under way already: a supervisor may send it to both
/// processes.
pub(crate) async fn drain_for_successor(
    workers: &Workers,
    signals: &mut Signals,
    patience: Patience,
) {
    workers.leave_sockets();
    let Patience { delay, timeout } = patience;
    tracing::info!(?delay, ?timeout, "draining");
    let drained = async {
        if workers.wait_idle(delay).await == Idle::Reached {
            return Idle::Reached;
        }
        workers.stop_accepting();
        workers.wait_idle(timeout).await
    };
    let ends = async {
        signals.next_end().await;
        tracing::info!("draining already; another signal ends at once");
        signals.next_end().await;
    };
    tokio::select! {
        idle = drained => end(workers, idle),
        () = ends => cut_at_once(workers),
    }
}

fn end(workers: &Workers, idle: Idle) {
    match idle {
        Idle::Reached => tracing::info!("drained"),
        Idle::StillActive(left) => {
            tracing::warn!(connections = left, "drain timeout: cutting what is left");
            workers.cut_all(CutReason::DrainTimeout);
        }
    }
}

fn cut_at_once(workers: &Workers) {
    tracing::warn!("a second signal: ending at once");
    workers.cut_all(CutReason::ShutDown);
}
