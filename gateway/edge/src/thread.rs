//! One worker thread: its runtime, its time, and the commands that it gets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use portcullis_proxy::{Worker as ProxyWorker, WorkerSettings, work_for_plugins};
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
        let Start { index, proxy, load, mailboxes, commands, started } = start;
        let worker = Rc::new(Worker {
            index,
            proxy: ProxyWorker::new(proxy, index),
            clock: Rc::new(Clock::default()),
            bench: Rc::default(),
            connections: Rc::new(Connections::default()),
            handshaken: Rc::default(),
            load,
            mailboxes,
            listeners: RefCell::new(HashMap::new()),
        });
        let _ = started.send(Ok(()));
        drop(started);
        tokio::task::spawn_local(keep_time(worker.clone()));
        tokio::task::spawn_local(work_for_plugins(worker.proxy.clone()));
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
            Command::NewGeneration => spawn_renewal(&worker),
            Command::CollectShard(answer) => drop(answer.send(worker.proxy.shard())),
            Command::Drain => advance(&worker, Stage::Draining),
            Command::StopAccepting { closed } => stop_accepting(&worker, &closed),
            Command::LeaveSockets { closed } => leave_sockets(&worker, closed),
            Command::Relieve => worker.connections.finish_all(),
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

/// The sockets live on in another process, and with them whoever waits there to be accepted. The connections
/// go on: each is told to go by its next response.
fn leave_sockets(worker: &Rc<Worker>, closed: Closed) {
    let leaving: Vec<_> = worker.listeners.borrow_mut().drain().map(|(_, each)| each).collect();
    tokio::task::spawn_local(async move {
        for listening in leaving {
            listening.task.abort();
            // Whoever it had accepted is being served.
            let _ = listening.task.await;
        }
        drop(closed);
    });
}

fn advance(worker: &Worker, stage: Stage) {
    worker.clock.advance(stage);
    worker.connections.wake_all();
}

/// In a task of its own, so that a panic in it cannot deafen the worker.
fn spawn_renewal(worker: &Rc<Worker>) {
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        worker.proxy.on_new_generation();
        renew_limits(&worker);
        worker.handshaken.review(&worker.proxy.pin());
    });
}

/// Connections are bound to no configuration: what is asked of them follows it.
fn renew_limits(worker: &Worker) {
    let snapshot = worker.proxy.pin();
    let listeners = worker.listeners.borrow();
    for socket in listeners.values().map(|listening| &listening.socket) {
        if let Some(table) = snapshot.socket(socket.key) {
            worker.connections.set_limits(socket.id, Limits::from(&*table.connections));
        }
    }
}

/// Ticks once a second and ends what has been silent for too long. Time that the whole process was stopped is
/// not held against anybody.
async fn keep_time(worker: Rc<Worker>) {
    let mut last = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let passed = last.elapsed().as_secs();
        last += Duration::from_secs(passed);
        worker.clock.pass(u32::try_from(passed).unwrap_or(u32::MAX));
        worker.proxy.look_at_requests().await;
        worker.connections.enforce().await;
    }
}
