//! What reads and writes an HTTP/2 connection for all its requests: one task each.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use portcullis_model::Http2Keepalive;
use tokio::time::{Instant, Sleep, sleep};

use crate::breakers::Entered;
use crate::endpoint::OpenConnection;
use crate::failure::UpstreamFailure;
use crate::http2::life::Life;
use crate::http2::reason::failure_of;
use crate::http2::watched::{Passed, Watched};

/// How long a connection that nobody holds any more may take to say so to its upstream.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection with what keeps it going.
pub(crate) struct Driver {
    connection: Pin<Box<Connection<Watched, Bytes>>>,
    keepalive: Option<Keepalive>,
    farewell: Option<Pin<Box<Sleep>>>,
    _counted: (OpenConnection, Entered),
}

impl Driver {
    pub(crate) fn new(
        mut connection: Connection<Watched, Bytes>,
        keepalive: Option<Http2Keepalive>,
        passed: Rc<Passed>,
        counted: (OpenConnection, Entered),
    ) -> Self {
        let pings = keepalive.and_then(|settings| Some((settings, connection.ping_pong()?)));
        let keepalive = pings.map(|(settings, pings)| Keepalive::new(settings, pings, passed));
        Driver { connection: Box::pin(connection), keepalive, farewell: None, _counted: counted }
    }

    /// Runs until the connection has ended.
    pub(crate) async fn run(mut self, life: Weak<Life>) {
        let cause = poll_fn(|cx| self.poll_end(&life, cx)).await;
        if let Some(life) = life.upgrade() {
            life.end(cause);
        }
        // Streams that are still open are told when the connection is dropped, which is now.
    }

    fn poll_end(&mut self, life: &Weak<Life>, cx: &mut Context<'_>) -> Poll<UpstreamFailure> {
        if let Poll::Ready(ended) = self.connection.as_mut().poll(cx) {
            return Poll::Ready(
                ended.map_or_else(|e| failure_of(&e), |()| UpstreamFailure::Closed),
            );
        }
        if let Some(keepalive) = &mut self.keepalive
            && keepalive.poll_silent(cx).is_ready()
        {
            return Poll::Ready(UpstreamFailure::Reset("no answer to PING".to_owned()));
        }
        if life.strong_count() == 0 {
            let farewell = self.farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
            ready!(farewell.as_mut().poll(cx));
            return Poll::Ready(UpstreamFailure::Closed);
        }
        Poll::Pending
    }
}

/// PINGs where nothing has come for a while.
struct Keepalive {
    settings: Http2Keepalive,
    pings: PingPong,
    passed: Rc<Passed>,
    /// What had come when the clock was set.
    heard: u64,
    timer: Pin<Box<Sleep>>,
    awaited: bool,
}

impl Keepalive {
    fn new(settings: Http2Keepalive, pings: PingPong, passed: Rc<Passed>) -> Self {
        let timer = Box::pin(sleep(settings.interval));
        Keepalive { settings, pings, passed, heard: 0, timer, awaited: false }
    }

    /// Ready where a PING stays unanswered and nothing else has come either.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.awaited
                && let Poll::Ready(answered) = self.pings.poll_pong(cx)
            {
                self.awaited = false;
                if answered.is_ok() {
                    self.set_clock(self.settings.interval);
                }
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.passed.read.get() != self.heard {
                let next =
                    if self.awaited { self.settings.timeout } else { self.settings.interval };
                self.set_clock(next);
            } else if self.awaited {
                return Poll::Ready(());
            } else {
                self.awaited = self.pings.send_ping(Ping::opaque()).is_ok();
                self.set_clock(self.settings.timeout);
            }
        }
    }

    fn set_clock(&mut self, after: Duration) {
        self.heard = self.passed.read.get();
        self.timer.as_mut().reset(Instant::now() + after);
    }
}
