//! One worker thread: its runtime, its time, and the commands that it gets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use portcullis_proxy::{Worker as ProxyWorker, WorkerSettings};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::accept::{accept_connections, close, take_over};
use crate::balance::Load;
use crate::clock::{Clock, Stage};
use crate::connections::Connections;
use crate::limits::Limits;
use crate::mailbox::{Closed, Command, Mailbox};
use crate::socket::{Socket, SocketId};
use crate::worker::{Listening, Worker};

/// What a worker thread starts with.
pub(crate) struct Start {
    pub(crate) index: usize,
    pub(crate) limits: Limits,
    pub(crate) proxy: WorkerSettings,
    pub(crate) load: Arc<Load>,
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) commands: UnboundedReceiver<Command>,
    /// Told once whether the runtime runs.
    pub(crate) started: mpsc::Sender<io::Result<()>>,
}

/// The thread's whole life.
pub(crate) fn run(start: Start) {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = start.started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async move {
        let Start { index, limits, proxy, load, mailboxes, commands, started } = start;
        let worker = Rc::new(Worker {
            index,
            limits,
            proxy: ProxyWorker::new(proxy, index),
            clock: Rc::new(Clock::default()),
            bench: Rc::default(),
            connections: Rc::new(Connections::default()),
            load,
            mailboxes,
            listeners: RefCell::new(HashMap::new()),
        });
        let _ = started.send(Ok(()));
        drop(started);
        tokio::task::spawn_local(keep_time(worker.clone()));
        obey(worker, commands).await;
    });
}

/// Carries out commands until the last one.
async fn obey(worker: Rc<Worker>, mut commands: UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { socket, listener } => listen(&worker, socket, listener),
            Command::Close { socket, closed } => close_socket(&worker, socket, &closed),
            Command::Take(handed_over) => take_over(&worker, handed_over),
            Command::NewGeneration => spawn_sweep_of_pools(&worker),
            Command::CollectShard(answer) => drop(answer.send(worker.proxy.shard())),
            Command::Drain => advance(&worker, Stage::Draining),
            Command::StopAccepting { closed } => stop_accepting(&worker, &closed),
            Command::CutAll => worker.connections.cut_all(),
            Command::Stop => return,
        }
    }
}

fn listen(worker: &Rc<Worker>, socket: Arc<Socket>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => Rc::new(listener),
        Err(error) => {
            tracing::error!(worker = worker.index, address = %socket.address, %error, "cannot listen");
            return;
        }
    };
    let accepting = accept_connections(worker.clone(), socket.clone(), listener.clone());
    let task = tokio::task::spawn_local(accepting);
    worker.listeners.borrow_mut().insert(socket.id, Listening { socket, listener, task });
}

fn close_socket(worker: &Rc<Worker>, socket: SocketId, closed: &Closed) {
    let Some(listening) = worker.listeners.borrow_mut().remove(&socket) else { return };
    let (worker, closed) = (worker.clone(), closed.clone());
    tokio::task::spawn_local(async move {
        close(worker.clone(), listening).await;
        worker.connections.finish_socket(socket);
        drop(closed);
    });
}

fn stop_accepting(worker: &Rc<Worker>, closed: &Closed) {
    let sockets: Vec<SocketId> = worker.listeners.borrow().keys().copied().collect();
    for socket in sockets {
        close_socket(worker, socket, closed);
    }
    advance(worker, Stage::Closing);
}

fn advance(worker: &Worker, stage: Stage) {
    worker.clock.advance(stage);
    worker.connections.wake_all();
}

/// In a task of its own, so that a panic in it cannot deafen the worker.
fn spawn_sweep_of_pools(worker: &Rc<Worker>) {
    let proxy = worker.proxy.clone();
    tokio::task::spawn_local(async move { proxy.on_new_generation() });
}

/// Ticks once a second and closes the connections that have been silent for too long.
async fn keep_time(worker: Rc<Worker>) {
    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seconds = start.elapsed().as_secs();
        worker.clock.set_seconds(u32::try_from(seconds).unwrap_or(u32::MAX));
        worker.connections.enforce(&worker.limits).await;
    }
}
