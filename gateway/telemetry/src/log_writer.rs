//! The access log's queue and the thread that writes what comes out of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
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

#[derive(Debug)]
enum Message {
    Line(Box<[u8]>),
    /// Write everything, then answer.
    Flush(SyncSender<()>),
    /// Open the file anew, if nobody has since it was asked for.
    Reopen,
}

/// The sending end, shared by all workers.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    sender: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    reopen: Arc<AtomicBool>,
    counts: Arc<LogCounts>,
    writer: Thread,
}

impl LogQueue {
    /// Starts a writer.
    pub(crate) fn start(sink: Sink) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MOST_LINES);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let reopen = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(LogCounts::default());
        let writer = Writer {
            sink,
            receiver,
            waiting_bytes: waiting_bytes.clone(),
            reopen: reopen.clone(),
            counts: counts.clone(),
            batch: Vec::with_capacity(BATCH),
            line_ends: Vec::new(),
            end: End::OfALine,
            failing: false,
        };
        let thread =
            thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(LogQueue { sender, waiting_bytes, reopen, counts, writer: thread.thread().clone() })
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

    /// Asks for the file to be opened anew, behind the lines so far. Any number before it is done are one.
    pub(crate) fn reopen(&self) {
        if !self.reopen.swap(true, Relaxed) {
            // Where the queue is full, the writer looks when it has emptied it.
            let _ = self.sender.try_send(Message::Reopen);
            self.writer.unpark();
        }
    }

    /// Asks for an answer when all lines so far are written, waiting for room; false where there was none.
    pub(crate) fn flush(&self, done: SyncSender<()>, deadline: Instant) -> bool {
        let mut message = Message::Flush(done);
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

    /// How many bytes were written, and why not more.
    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                let (written, outcome) = write_most(&mut stdout, bytes);
                (written, outcome.and_then(|()| stdout.flush()))
            }
            Sink::File { file, .. } => write_most(file, bytes),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { path, file } = self {
            *file = append_to(path)?;
        }
        Ok(())
    }
}

/// Like `write_all`, but tells how far it came: a disk that fills up takes a part.
fn write_most(sink: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match sink.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// What was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OfALine,
    /// A part of a line, the rest of which is lost.
    InALine,
}

struct Writer {
    sink: Sink,
    receiver: Receiver<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    reopen: Arc<AtomicBool>,
    counts: Arc<LogCounts>,
    batch: Vec<u8>,
    /// Where in the batch each of its lines ends.
    line_ends: Vec<usize>,
    /// What the sink ends with.
    end: End,
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
            self.reopen_if_asked();
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
                if self.end == End::InALine && self.batch.is_empty() {
                    self.batch.push(b'\n');
                }
                self.batch.extend_from_slice(&line);
                self.line_ends.push(self.batch.len());
                if self.batch.len() >= BATCH {
                    self.write_batch();
                }
            }
            Message::Flush(done) => {
                self.write_batch();
                let _ = done.try_send(());
            }
            Message::Reopen => self.reopen_if_asked(),
        }
    }

    fn reopen_if_asked(&mut self) {
        if self.reopen.swap(false, Relaxed) {
            self.write_batch();
            let reopened = self.sink.reopen();
            self.note(reopened, "cannot reopen the access log; the old file stays open");
        }
    }

    fn write_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let (written, outcome) = self.sink.write(&self.batch);
        if written > 0 {
            let whole = written == self.batch.len() || self.line_ends.contains(&written);
            self.end = if whole { End::OfALine } else { End::InALine };
        }
        let lost = self.line_ends.iter().filter(|end| **end > written).count();
        self.counts.dropped.fetch_add(lost as u64, Relaxed);
        self.note(outcome, "cannot write the access log; lines are lost");
        self.batch.clear();
        self.line_ends.clear();
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
            reopen: Arc::default(),
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
    fn a_flush_without_room_gives_up_at_its_deadline() {
        let (queue, receiver) = queue_without_writer();
        for _ in 0..MOST_LINES {
            queue.push(b"line\n");
        }
        let (done, _wait) = sync_channel(1);
        assert!(!queue.flush(done.clone(), Instant::now()));
        drop(receiver);
        assert!(!queue.flush(done, Instant::now()));
    }

    #[test]
    fn any_number_of_requests_to_reopen_is_one() {
        let (queue, receiver) = queue_without_writer();
        for _ in 0..1000 {
            queue.reopen();
        }
        assert!(matches!(receiver.try_recv(), Ok(Message::Reopen)));
        assert!(receiver.try_recv().is_err());
    }

    /// A sink with room for so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let some = bytes.len().min(self.0);
            self.0 -= some;
            if some == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(some) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_still_takes_is_known() {
        let (written, outcome) = write_most(&mut Disk(7), b"line\nline\n");
        assert_eq!((written, outcome.unwrap_err().kind()), (7, io::ErrorKind::StorageFull));
        let (written, outcome) = write_most(&mut Disk(70), b"line\nline\n");
        assert!(written == 10 && outcome.is_ok());
    }
}
