//! A fake upstream on a thread of its own, of HTTP/1 or HTTP/2.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::answers::answer;
use crate::seen::{Counted, Seen, Shared};

/// A fake upstream. Every reply carries its name as `x-upstream`. What it answers depends on the path:
///
/// - `/status/NNN`: that status, the name as text
/// - `/stream/N`: N MiB
/// - `/sink`: reads the body whole, keeping nothing, and says how much it was
/// - `/trailers`: a chunked body with the trailer `x-checksum` (if the request says `te: trailers`)
/// - `/slow`: answers when the test calls [`Upstream::release`]
/// - `/drip`: the head and `first,` at once, `second` when released
/// - `/early`: 413 without reading the body
/// - `/close`: closes without a reply
/// - `/break`: a body that breaks off
/// - anything else: an echo as JSON: `upstream`, `method`, `path`, `version`, `headers`, `body`,
///   `body_length`, `trailers`
///
/// Over HTTP/2, what closes or breaks off resets its stream.
///
/// A request's `x-reply-NAME: value` comes back as `NAME: value` on each of them.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts one on a free port.
    pub fn start(name: &str) -> Self {
        Self::start_on(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one where another was.
    pub fn start_on(name: &str, address: SocketAddr) -> Self {
        Self::start_speaking(name, address, Wire::Http1)
    }

    /// Starts one that speaks HTTP/2 in plain text, by prior knowledge.
    pub fn start_http2(name: &str) -> Self {
        Self::start_speaking(name, SocketAddr::from(([127, 0, 0, 1], 0)), Wire::Http2)
    }

    fn start_speaking(name: &str, address: SocketAddr, wire: Wire) -> Self {
        let listener = StdListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::new(name));
        let (stop, stopped) = oneshot::channel();
        let address = listener.local_addr().unwrap();
        let serving = shared.clone();
        let thread = std::thread::spawn(move || serve_until(listener, wire, serving, stopped));
        Upstream { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen()
    }

    /// Awaits the moment when what it has seen fulfils a condition.
    pub async fn until(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        self.shared.until(condition).await
    }

    /// Lets the requests go on that are held now.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Breaks off every connection and goes on listening.
    pub async fn disconnect(&self) {
        self.shared.cut();
        self.until(|seen| seen.open == 0).await;
    }

    /// Stops listening and breaks off every connection.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end();
    }
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Http1,
    Http2,
}

fn serve_until(
    listener: StdListener,
    wire: Wire,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::select! {
            _ = stopped => {}
            () = accept_connections(listener, wire, shared) => {}
        }
    });
}

async fn accept_connections(listener: TcpListener, wire: Wire, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.note(|seen| seen.connections += 1);
        tokio::spawn(serve_connection(stream, wire, shared.clone()));
    }
}

async fn serve_connection(stream: TcpStream, wire: Wire, shared: Arc<Shared>) {
    let _open = Counted::begin(&shared, |seen| &mut seen.open);
    let _delayed = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, shared.clone()));
    // A client that goes away is not the upstream's business.
    let stream = TokioIo::new(stream);
    let connection = async {
        let _gone = match wire {
            Wire::Http1 => http1::Builder::new().serve_connection(stream, service).await,
            Wire::Http2 => {
                http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
            }
        };
    };
    tokio::select! {
        () = connection => {}
        () = shared.until_cut() => {}
    }
}
