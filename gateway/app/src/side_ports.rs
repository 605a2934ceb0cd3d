//! The ports that are not traffic: 15021, 15020, 15000.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use portcullis_admin::{AdminState, PortPhase, admin_router, health_router, metrics_router, serve};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::{Port, ServeArguments};
use crate::command_error::CommandError;
use crate::handover::Named;
use crate::ready_file::SidePorts;

/// How long requests may take on their way that are under way when the ports are left, and then the last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Those that are on, bound.
pub(crate) struct SideListeners {
    ports: Vec<SidePort>,
    phase: watch::Sender<PortPhase>,
    serving: JoinSet<()>,
}

struct SidePort {
    option: &'static str,
    /// As in the handover: two processes with the same arguments call it the same.
    name: String,
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
}

impl SideListeners {
    /// Takes over or binds those that are on. Nothing is answered before [`SideListeners::serve`].
    pub(crate) fn open(
        arguments: &ServeArguments,
        state: &AdminState,
        inherited: &mut Vec<Named>,
    ) -> Result<Self, CommandError> {
        let wanted = [
            ("--status", arguments.status, health_router(state.readiness.clone())),
            ("--metrics", arguments.metrics, metrics_router(state.clone())),
            ("--admin", arguments.admin, admin_router(state.clone())),
        ];
        let mut ports = Vec::new();
        for (option, port, router) in wanted {
            if let Port::On(address) = port {
                ports.push(SidePort::open(option, address, router, inherited)?);
            }
        }
        let phase = watch::Sender::new(PortPhase::Open);
        Ok(SideListeners { ports, phase, serving: JoinSet::new() })
    }

    /// Answers from now on.
    pub(crate) fn serve(&mut self) -> io::Result<()> {
        for port in &self.ports {
            let listener = tokio::net::TcpListener::from_std(port.listener.try_clone()?)?;
            let option = port.option;
            let answering = serve(listener, port.router.clone(), self.phase.subscribe());
            self.serving.spawn(async move {
                if let Err(error) = answering.await {
                    tracing::error!(option, %error, "a port ended");
                }
            });
        }
        Ok(())
    }

    /// Duplicates of all of them, for another process to take over.
    pub(crate) fn hand_out(&self) -> io::Result<Vec<Named>> {
        let hand_out = |port: &SidePort| {
            Ok(Named { name: port.name.clone(), listener: port.listener.try_clone()? })
        };
        self.ports.iter().map(hand_out).collect()
    }

    /// Accepts nobody any more: another process has the same sockets, and whoever comes now is its guest.
    pub(crate) fn leave(&mut self) {
        self.ports.clear();
        self.phase.send_replace(PortPhase::Left);
    }

    /// Ends the connections after [`SideListeners::leave`], once their clients had time to ask.
    pub(crate) async fn close(&mut self) {
        tokio::time::sleep(LAST_ANSWERS).await;
        self.phase.send_replace(PortPhase::Closed);
        let ended = async { while self.serving.join_next().await.is_some() {} };
        // A client that reads slowly does not hold the drain up.
        let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
    }

    /// Where they are bound.
    pub(crate) fn addresses(&self) -> SidePorts {
        let bound =
            |option| self.ports.iter().find(|port| port.option == option).map(|port| port.address);
        SidePorts {
            status: bound("--status"),
            metrics: bound("--metrics"),
            admin: bound("--admin"),
        }
    }
}

impl SidePort {
    fn open(
        option: &'static str,
        wanted: SocketAddr,
        router: axum::Router,
        inherited: &mut Vec<Named>,
    ) -> Result<Self, CommandError> {
        let failure = |error: io::Error| {
            CommandError::Failure(format!(
                "{option} {wanted} cannot be bound: {error}; choose another, or `off`"
            ))
        };
        let name = format!("{option} {wanted}");
        let listener = match inherited.iter().position(|named| named.name == name) {
            Some(index) => inherited.swap_remove(index).listener,
            None => bind(wanted).map_err(failure)?,
        };
        let address = listener.local_addr().map_err(failure)?;
        Ok(SidePort { option, name, listener, address, router })
    }
}

/// By the standard library's own hand: a restart need not wait for old connections.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
