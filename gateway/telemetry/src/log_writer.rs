//! The access log's queue and the thread that writes what comes out of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Lines that may wait to be written.
const MOST_LINES: usize = 8_192;
/// Bytes that may wait to be written.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// What is written at once.
const BATCH: usize = 64 * 1024;
/// How long the writer gathers lines, so that a busy worker need not wake it for each.
const GATHER: Duration = Duration::from_millis(10);

/// What went wrong with an access log, for metrics.
#[derive(Debug, Default)]
pub(crate) struct LogCounts {
    /// Lines lost.
    pub(crate) dropped: AtomicU64,
    /// Writes that failed.
    pub(crate) write_errors: AtomicU64,
}

/// What the writer is asked to do besides writing; it answers when it has.
#[derive(Debug)]
pub(crate) enum Order {
    Flush(SyncSender<()>),
    Reopen(SyncSender<()>),
}

#[derive(Debug)]
enum Message {
    Line(Box<[u8]>),
    Order(Order),
}

/// The sending end, shared by all workers.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    sender: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    counts: Arc<LogCounts>,
    writer: Thread,
}

impl LogQueue {
    /// Starts a writer.
    pub(crate) fn start(sink: Sink) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MOST_LINES);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let counts = Arc::new(LogCounts::default());
        let writer = Writer {
            sink,
            receiver,
            waiting_bytes: waiting_bytes.clone(),
            counts: counts.clone(),
            batch: Vec::with_capacity(BATCH),
            batch_lines: 0,
            failing: false,
        };
        let thread =
            thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(LogQueue { sender, waiting_bytes, counts, writer: thread.thread().clone() })
    }

    /// Hands over a copy of a line, or drops it.
    pub(crate) fn push(&self, line: &[u8]) {
        let waiting = self.waiting_bytes.fetch_add(line.len(), Relaxed);
        let sent =
            waiting <= MOST_BYTES && self.sender.try_send(Message::Line(line.into())).is_ok();
        if !sent {
            self.waiting_bytes.fetch_sub(line.len(), Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Hands over an order behind all lines so far, waiting for room; false where there was none.
    pub(crate) fn order(&self, order: Order, deadline: Instant) -> bool {
        let mut message = Message::Order(order);
        loop {
            self.writer.unpark();
            message = match self.sender.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(_)) if Instant::now() >= deadline => return false,
                Err(TrySendError::Full(message)) => message,
            };
            thread::park_timeout(GATHER);
        }
        self.writer.unpark();
        true
    }

    pub(crate) fn counts(&self) -> &Arc<LogCounts> {
        &self.counts
    }
}

/// Where lines end up.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Sink {
    /// Opens a file for appending.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = append_to(&path)?;
        Ok(Sink::File { path, file })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Sink::File { file, .. } => file.write_all(bytes),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { path, file } = self {
            *file = append_to(path)?;
        }
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

struct Writer {
    sink: Sink,
    receiver: Receiver<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    counts: Arc<LogCounts>,
    batch: Vec<u8>,
    batch_lines: u64,
    /// Whether the last write failed, so that the log tells it once.
    failing: bool,
}

impl Writer {
    /// Writes until the last sender is gone.
    fn run(mut self) {
        while let Ok(message) = self.receiver.recv() {
            self.take(message);
            let last = self.take_all();
            self.write_batch();
            if last == TryRecvError::Disconnected {
                return;
            }
            thread::park_timeout(GATHER);
        }
    }

    /// Takes what is in the queue until it is empty or at its end.
    fn take_all(&mut self) -> TryRecvError {
        loop {
            match self.receiver.try_recv() {
                Ok(message) => self.take(message),
                Err(end) => return end,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.waiting_bytes.fetch_sub(line.len(), Relaxed);
                self.batch.extend_from_slice(&line);
                self.batch_lines += 1;
                if self.batch.len() >= BATCH {
                    self.write_batch();
                }
            }
            Message::Order(Order::Flush(done)) => {
                self.write_batch();
                let _ = done.try_send(());
            }
            Message::Order(Order::Reopen(done)) => {
                self.write_batch();
                let reopened = self.sink.reopen();
                self.note(reopened, "cannot reopen the access log; the old file stays open");
                let _ = done.try_send(());
            }
        }
    }

    fn write_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let written = self.sink.write(&self.batch);
        if written.is_err() {
            self.counts.dropped.fetch_add(self.batch_lines, Relaxed);
        }
        self.note(written, "cannot write the access log; lines are lost");
        self.batch.clear();
        self.batch_lines = 0;
    }

    fn note(&mut self, outcome: io::Result<()>, meaning: &str) {
        if let Err(error) = &outcome {
            self.counts.write_errors.fetch_add(1, Relaxed);
            if !self.failing {
                tracing::error!(%error, "{meaning}");
            }
        }
        self.failing = outcome.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_without_writer() -> (LogQueue, Receiver<Message>) {
        let (sender, receiver) = sync_channel(MOST_LINES);
        let queue = LogQueue {
            sender,
            waiting_bytes: Arc::default(),
            counts: Arc::default(),
            writer: thread::current(),
        };
        (queue, receiver)
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, _receiver) = queue_without_writer();
        for _ in 0..MOST_LINES + 5 {
            queue.push(b"line\n");
        }
        assert_eq!(queue.counts().dropped.load(Relaxed), 5);
        assert_eq!(queue.waiting_bytes.load(Relaxed), MOST_LINES * 5);
    }

    #[test]
    fn long_lines_fill_the_queue_by_their_bytes() {
        let (queue, _receiver) = queue_without_writer();
        let line = vec![b'x'; MOST_BYTES / 2 + 1];
        for _ in 0..4 {
            queue.push(&line);
        }
        assert_eq!(queue.counts().dropped.load(Relaxed), 2);
    }

    #[test]
    fn an_order_without_room_gives_up_at_its_deadline() {
        let (queue, receiver) = queue_without_writer();
        for _ in 0..MOST_LINES {
            queue.push(b"line\n");
        }
        let (done, _wait) = sync_channel(1);
        assert!(!queue.order(Order::Flush(done.clone()), Instant::now()));
        drop(receiver);
        assert!(!queue.order(Order::Flush(done), Instant::now()));
    }
}
