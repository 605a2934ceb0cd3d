//! A worker before upstreams of its own, on a clock that goes only when nothing else does: what takes how long can be
//! asserted exactly.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_exchange::Connection;
use portcullis_message::{Body, HostPattern, TrustedProxies};
use portcullis_model as model;
use portcullis_snapshot::{Compiled, Compiler, Published};
use portcullis_telemetry::Registry;
use portcullis_upstream::{Cluster, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::{AlbMtls, DebugHeaders, Drain, Overload, Worker, WorkerSettings, handle_request};

/// Runs a test as a worker runs its requests.
pub(crate) fn on_worker(test: impl Future<Output = ()> + 'static) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::task::spawn_local(test).await.unwrap() });
}

/// What becomes of something, and how long that took by a clock that goes on by a millisecond when sockets and tasks
/// had many turns.
pub(crate) async fn timed<T>(awaited: impl Future<Output = T>) -> (T, Duration) {
    // So many turns are more than any exchange on loopback takes: all of it happens on this thread.
    const TURNS: usize = 30;
    tokio::time::pause();
    let begun = Instant::now();
    let ticking = async {
        loop {
            for _ in 0..TURNS {
                yield_now().await;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        outcome = awaited => {
            let took = begun.elapsed();
            tokio::time::resume();
            (outcome, took)
        }
        () = ticking => unreachable!(),
    }
}

/// A worker, and what it serves.
pub(crate) struct TestWorker {
    worker: Rc<Worker>,
    pub(crate) cluster: Arc<Cluster>,
}

impl TestWorker {
    /// Before a cluster, by a rule for all requests.
    pub(crate) fn before(cluster: model::Cluster, rule: impl FnOnce(&mut model::Rule)) -> Self {
        TestWorker::with(cluster, rule, |_| {})
    }

    /// The same, with a listener that is changed further.
    pub(crate) fn with(
        cluster: model::Cluster,
        rule: impl FnOnce(&mut model::Rule),
        listener: impl FnOnce(&mut model::Listener),
    ) -> Self {
        let name = cluster.name.clone();
        let model = model_of(cluster, rule, listener);
        let mut compiler = Compiler::new(Registry::new(), None);
        let published = Published::new(compiler.empty());
        match compiler.compile(model, Vec::new(), None) {
            Compiled::Changed(snapshot) => published.publish(*snapshot),
            Compiled::Unchanged => panic!("it changed"),
        };
        let cluster = published.current().clusters[&name].clone();
        TestWorker { worker: Worker::new(settings(published), 0), cluster }
    }

    /// Asks, and reads the reply; `None` where its body breaks off.
    pub(crate) async fn ask(&self, method: Method) -> Option<StatusCode> {
        let body = if method == Method::POST {
            Body::from(bytes::Bytes::from_static(b"some"))
        } else {
            Body::Empty
        };
        let request = Request::builder().method(method).uri("/a").header("host", "shop.example");
        let place = self.worker.begin_request();
        let connection = Arc::new(Connection { port: 80, ..Connection::nowhere() });
        let (request, progress) = (request.body(body).unwrap(), place.progress().clone());
        let reply = handle_request(self.worker.clone(), connection, request, progress).await;
        let status = reply.status();
        reply.into_body().collect().await.ok().map(|_| status)
    }

    /// The same, while the worker looks at its requests once a second.
    pub(crate) async fn ask_under_watch(&self, method: Method) -> Option<StatusCode> {
        let watching = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.worker.look_at_requests().await;
            }
        };
        tokio::select! {
            reply = self.ask(method) => reply,
            () = watching => unreachable!(),
        }
    }

    /// The endpoint at an address.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        let endpoints = self.cluster.endpoints();
        endpoints.into_iter().find(|endpoint| endpoint.address() == address).unwrap()
    }
}

fn model_of(
    cluster: model::Cluster,
    change_rule: impl FnOnce(&mut model::Rule),
    change_listener: impl FnOnce(&mut model::Listener),
) -> model::Model {
    let destination = model::Destination {
        cluster: cluster.name.clone(),
        weight: 1,
        request_headers: Default::default(),
        response_headers: Default::default(),
        change: None,
    };
    let action = model::Action::Forward {
        destinations: vec![destination],
        path_rewrite: None,
        authority_rewrite: None,
    };
    let mut rule = model::Rule { action, ..model::Rule::for_test("VirtualService/a/b/http[0]") };
    change_rule(&mut rule);
    let mut listener = model::Listener::for_test();
    let rules = vec![Arc::new(rule)];
    listener.virtual_hosts =
        [model::VirtualHost { host: HostPattern::Any, rules }].into_iter().collect();
    change_listener(&mut listener);
    model::Model {
        listeners: vec![listener],
        clusters: [(cluster.name.clone(), Arc::new(cluster))].into_iter().collect(),
        ..model::Model::default()
    }
}

fn settings(published: Arc<Published>) -> WorkerSettings {
    WorkerSettings {
        published,
        discovery: None,
        access_log: None,
        debug_headers: DebugHeaders::Off,
        trusted: Arc::new(TrustedProxies::default()),
        foreign_chain: Default::default(),
        unsafe_repeats: Default::default(),
        foreign_audience: Default::default(),
        alb_mtls: AlbMtls::Off,
        drain: Drain::default(),
        overload: Overload::default(),
        counts: Arc::default(),
    }
}

/// A cluster of these endpoints, each of the same weight.
pub(crate) fn cluster_of(endpoints: &[SocketAddr]) -> model::Cluster {
    let endpoints: Vec<_> = endpoints.iter().map(|address| (*address, 1)).collect();
    model::Cluster::for_test(&endpoints)
}

/// An upstream that answers every request.
pub(crate) async fn well() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) {
    let mut heard = Vec::new();
    while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
        // Heads and bodies of this room's requests come whole.
        if heard.windows(4).any(|window| window == b"\r\n\r\n") {
            heard.clear();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
    }
}

/// A socket that takes no connection: whoever connects to it is refused. To be held.
pub(crate) fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A listener whose backlog is full: who connects to it is neither taken nor refused. To be held.
pub(crate) async fn blackhole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    let a_moment = Duration::from_millis(100);
    while let Ok(stream) = tokio::time::timeout(a_moment, TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    (listener, queued, address)
}
