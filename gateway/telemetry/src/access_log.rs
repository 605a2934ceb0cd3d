//! The workers' side of the access log: format a line, hand it over, never wait.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use portcullis_exchange::Exchange;

use crate::log_format::AccessLogFormat;
use crate::log_writer::{LogCounts, LogQueue, Sink};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// A file, made if missing, appended to.
    File(PathBuf),
}

/// The access log. Clones write the same one; the writer thread ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    queue: LogQueue,
}

/// How long [`AccessLog::flush`] waits for a writer that does not get on.
const PATIENCE: Duration = Duration::from_secs(5);
/// A worker's buffer that one long line made larger than this is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// Opens the target and starts the thread that writes to it.
    pub fn open(format: AccessLogFormat, target: LogTarget) -> io::Result<AccessLog> {
        let sink = match target {
            LogTarget::Stdout => Sink::Stdout,
            LogTarget::File(path) => Sink::open(path)?,
        };
        Ok(AccessLog { format, queue: LogQueue::start(sink)? })
    }

    /// Hands over an exchange's line; where the writer cannot keep up the line is dropped and counted.
    pub fn record(&self, exchange: &Exchange) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.format.write(exchange, line);
            self.queue.push(line);
            if line.capacity() > KEPT_CAPACITY {
                *line = Vec::new();
            }
        });
    }

    /// Lines that were lost: the writer could not keep up, or the disk took nothing.
    pub fn dropped(&self) -> u64 {
        self.counts().dropped.load(Relaxed)
    }

    /// Writes that failed.
    pub fn write_errors(&self) -> u64 {
        self.counts().write_errors.load(Relaxed)
    }

    /// Waits until every line handed over before is written, or for five seconds. Blocks: for shutdown.
    pub fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (done, wait) = std::sync::mpsc::sync_channel(1);
        if self.queue.flush(done, deadline) {
            let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Has the file opened anew behind the lines so far, after it was rotated. Where that fails the old one
    /// stays. Does not wait: a pipe that nobody reads would hold up the health port.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    fn counts(&self) -> &LogCounts {
        self.queue.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_to(path: &std::path::Path) -> AccessLog {
        let format = AccessLogFormat::compile("%REQ(:METHOD)% %REQ(:PATH)%").unwrap();
        AccessLog::open(format, LogTarget::File(path.to_owned())).unwrap()
    }

    #[test]
    fn every_line_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = log_to(&path);
        let exchange = Exchange::for_test();
        for _ in 0..1000 {
            log.record(&exchange);
        }
        log.flush();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "GET /\n".repeat(1000));
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = log_to(&path);
        log.record(&Exchange::for_test());
        log.flush();
        let rotated = directory.path().join("access.log.1");
        std::fs::rename(&path, &rotated).unwrap();
        log.reopen();
        log.record(&Exchange::for_test());
        log.flush();
        assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "GET /\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "GET /\n");
    }

    #[test]
    fn a_full_disk_loses_lines_and_nothing_else() {
        let full = std::path::Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let log = log_to(full);
        for _ in 0..3 {
            log.record(&Exchange::for_test());
        }
        log.flush();
        assert_eq!(log.dropped(), 3);
        assert!(log.write_errors() > 0);
    }

    #[test]
    fn a_target_that_cannot_be_opened_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let target = LogTarget::File(directory.path().join("missing/access.log"));
        assert!(AccessLog::open(AccessLogFormat::text(), target).is_err());
    }
}
