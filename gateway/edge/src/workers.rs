//! The worker threads as the control side sees them.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use portcullis_model::Problem;
use portcullis_proxy::{CutReason, WorkerSettings};
use portcullis_snapshot::Snapshot;
use portcullis_telemetry::MetricShard;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::balance::Load;
use crate::handed::HandedSocket;
use crate::mailbox::{Closed, Command, Mailbox};
use crate::open_sockets::{BoundListener, OpenSockets, Opened};
use crate::settings::Settings;
use crate::socket::Socket;
use crate::thread::{Start, run};

/// How long closing a socket may take before a new one is opened regardless. Workers need microseconds.
const CLOSING: Duration = Duration::from_secs(1);

/// The worker threads of the process and the sockets that they accept from.
///
/// A binary upgrade is [`hand_out`](Self::hand_out) here and [`adopt`](Self::adopt) in the new process, then
/// [`leave_sockets`](Self::leave_sockets) here, and the rest of a drain.
///
/// A drain is [`begin_drain`](Self::begin_drain), some delay, [`stop_accepting`](Self::stop_accepting),
/// [`wait_idle`](Self::wait_idle), and [`shut_down`](Self::shut_down).
pub struct Workers {
    settings: Settings,
    proxy: WorkerSettings,
    load: Arc<Load>,
    mailboxes: Arc<[Mailbox]>,
    sockets: Mutex<Sockets>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Sockets {
    open: OpenSockets,
    /// Set for good once a drain has stopped accepting.
    accepting_ended: bool,
}

/// How waiting for the end of every connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// None is left.
    Reached,
    /// So many are.
    StillActive(usize),
}

impl Workers {
    /// Starts the threads, named `worker-0` and so on. They accept nothing before the first
    /// [`reconcile`](Self::reconcile).
    pub fn start(settings: Settings, proxy: WorkerSettings) -> io::Result<Self> {
        let count = settings.workers.max(1);
        let (mailboxes, receivers): (Vec<Mailbox>, Vec<_>) =
            (0..count).map(|_| unbounded_channel()).unzip();
        let workers = Workers {
            load: Load::new(count, settings.max_connections.unwrap_or(usize::MAX)),
            mailboxes: mailboxes.into(),
            sockets: Mutex::default(),
            threads: Mutex::default(),
            settings,
            proxy,
        };
        workers.start_threads(receivers)?;
        Ok(workers)
    }

    /// Brings the sockets in line with a snapshot that was published: opens new ones, closes removed ones
    /// (what waits on them is still taken in, their connections finish), and has every worker let go of
    /// what the snapshot has no use for. What cannot be opened is a problem and is tried again the next
    /// time; everything else is served.
    pub fn reconcile(&self, snapshot: &Snapshot) -> Vec<Problem> {
        let mut sockets = self.lock_sockets();
        self.tell_all(|| Command::NewGeneration);
        if sockets.accepting_ended {
            return Vec::new();
        }
        let (closed, all_closed) = mpsc::channel();
        for socket in sockets.open.close_unwanted(snapshot) {
            self.tell_all(|| Command::Close { socket, closed: closed.clone() });
        }
        drop(closed);
        // A new socket may want the address of one that just closed. Nothing is ever sent: the wait ends
        // when the last worker has closed its duplicate.
        let _ = all_closed.recv_timeout(CLOSING);
        let give = |opened: Opened<'_>| self.give(opened.socket, opened.listener);
        sockets.open.open_missing(snapshot, &self.settings, give)
    }

    /// Every listener at every address that it is served at.
    pub fn bound(&self) -> Vec<BoundListener> {
        self.lock_sockets().open.bound()
    }

    /// A copy of each worker's metrics.
    pub async fn collect_shards(&self) -> Vec<MetricShard> {
        let asked: Vec<_> = self
            .mailboxes
            .iter()
            .filter_map(|mailbox| {
                let (answer, shard) = oneshot::channel();
                mailbox.send(Command::CollectShard(answer)).ok().map(|()| shard)
            })
            .collect();
        let mut shards = Vec::with_capacity(asked.len());
        for shard in asked {
            shards.extend(shard.await.ok());
        }
        shards
    }

    /// From now on every response closes its connection, and HTTP/2 clients get GOAWAY. New connections
    /// are still accepted: a load balancer needs time to notice.
    pub fn begin_drain(&self) {
        self.proxy.drain.begin();
        self.tell_all(|| Command::Drain);
    }

    /// Takes in what waits on the sockets, closes them for good, and sends away whoever is idle. Begins
    /// the drain if it has not begun.
    pub fn stop_accepting(&self) {
        self.begin_drain();
        self.end_accepting(|closed| Command::StopAccepting { closed });
    }

    /// Begins a drain that health says nothing of, and lets go of the sockets, which another process accepts from by
    /// now. What waits on them is that process's; nobody is sent away who has not had a response that says so, until
    /// [`stop_accepting`](Self::stop_accepting).
    pub fn leave_sockets(&self) {
        self.proxy.drain.hand_over();
        self.tell_all(|| Command::Drain);
        self.end_accepting(|closed| Command::LeaveSockets { closed });
    }

    /// Takes over what another process [handed out](Self::hand_out), before the first
    /// [`reconcile`](Self::reconcile), which closes what its snapshot has no use for.
    pub fn adopt(&self, sockets: Vec<HandedSocket>) {
        self.lock_sockets().open.adopt(sockets);
    }

    /// Duplicates of all listening sockets, for another process to take over.
    ///
    /// # Errors
    /// Where descriptors are exhausted.
    pub fn hand_out(&self) -> io::Result<Vec<HandedSocket>> {
        self.lock_sockets().open.hand_out()
    }

    /// Whether listeners are open, or may be by the next configuration: accepting has not been ended for good.
    pub fn accepts(&self) -> bool {
        !self.lock_sockets().accepting_ended
    }

    fn end_accepting(&self, command: impl Fn(Closed) -> Command) {
        let mut sockets = self.lock_sockets();
        sockets.accepting_ended = true;
        sockets.open.close_all();
        let (closed, all_closed) = mpsc::channel();
        self.tell_all(|| command(closed.clone()));
        drop(closed);
        let _ = all_closed.recv_timeout(CLOSING);
    }

    #[cfg(test)]
    pub(crate) fn load_of(&self, worker: usize) -> usize {
        self.load.of(worker)
    }

    /// How many connections there are.
    pub fn active(&self) -> usize {
        self.load.active()
    }

    /// Waits until no connection is left, but no longer than `at_most`.
    pub async fn wait_idle(&self, at_most: Duration) -> Idle {
        match timeout(at_most, self.load.none_left()).await {
            Ok(()) => Idle::Reached,
            Err(_) => Idle::StillActive(self.active()),
        }
    }

    /// Asks every connection to go: those that are idle at once, the others with their next response. New ones are
    /// accepted as before.
    pub fn relieve(&self) {
        self.tell_all(|| Command::Relieve);
    }

    /// Ends every connection at once, whatever it is doing. The requests' records tell why.
    pub fn cut_all(&self, reason: CutReason) {
        self.proxy.drain.cut(reason);
        self.tell_all(|| Command::CutAll);
    }

    /// Ends the threads, and with them every connection that is left. Waits for them; call it from a
    /// thread that may block.
    pub fn shut_down(&self) {
        self.tell_all(|| Command::Stop);
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread had panicked");
            }
        }
    }

    fn start_threads(&self, receivers: Vec<UnboundedReceiver<Command>>) -> io::Result<()> {
        let (started, starts) = mpsc::channel();
        for (index, commands) in receivers.into_iter().enumerate() {
            let start = Start {
                index,
                proxy: self.proxy.clone(),
                load: self.load.clone(),
                mailboxes: self.mailboxes.clone(),
                commands,
                started: started.clone(),
            };
            let thread = Builder::new().name(format!("worker-{index}")).spawn(|| run(start))?;
            lock(&self.threads).push(thread);
        }
        drop(started);
        starts.into_iter().collect()
    }

    /// Gives each worker a duplicate of a listening socket.
    fn give(&self, socket: &Arc<Socket>, listener: &TcpListener) {
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            match listener.try_clone() {
                Ok(listener) => {
                    let _ = mailbox.send(Command::Listen { socket: socket.clone(), listener });
                }
                Err(error) => {
                    tracing::error!(worker, address = %socket.address, %error, "cannot listen");
                }
            }
        }
        tracing::info!(address = %socket.address, port = socket.key.port, "listening");
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for mailbox in self.mailboxes.iter() {
            let _ = mailbox.send(command());
        }
    }

    fn lock_sockets(&self) -> MutexGuard<'_, Sockets> {
        lock(&self.sockets)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tell_all(|| Command::Stop);
    }
}

/// A panic elsewhere leaves these as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
