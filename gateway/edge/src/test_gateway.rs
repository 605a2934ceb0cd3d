//! A gateway of real workers on a handmade configuration, for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use portcullis_crypto::Credential;
use portcullis_filters::DirectResponse;
use portcullis_message::{HostPattern, TrustedProxies};
use portcullis_model::{
    Action, Listener, ListenerProtocol, Model, Origin, Problem, RequestPolicy, Rule, TlsSettings,
    VirtualHost,
};
use portcullis_proxy::{AlbMtls, DebugHeaders, Drain, Overload, WorkerSettings};
use portcullis_snapshot::{Compiled, Compiler, Published};
use portcullis_telemetry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::settings::Settings;
use crate::workers::Workers;

/// Workers with what the control side would hold.
pub(crate) struct TestGateway {
    pub(crate) workers: Workers,
    compiler: Compiler,
    published: Arc<Published>,
}

impl TestGateway {
    pub(crate) fn start(settings: Settings) -> Self {
        let compiler = Compiler::new(Registry::new(), None);
        let published = Published::new(compiler.empty());
        let proxy = WorkerSettings {
            published: published.clone(),
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
        };
        TestGateway { workers: Workers::start(settings, proxy).unwrap(), compiler, published }
    }

    /// Publishes a configuration and reconciles the sockets.
    pub(crate) fn apply(&mut self, listeners: Vec<Listener>) -> Vec<Problem> {
        let model = Model { listeners, ..Model::default() };
        let current = self.published.current();
        if let Compiled::Changed(snapshot) =
            self.compiler.compile(model, Vec::new(), Some(&current))
        {
            self.published.publish(*snapshot);
        }
        self.workers.reconcile(&self.published.current())
    }

    /// Where a server of the Gateway is bound.
    pub(crate) fn address(&self, server: &str) -> SocketAddr {
        let bound = self.workers.bound();
        bound.into_iter().find(|bound| *bound.server == *server).unwrap().address
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.workers.shut_down();
    }
}

/// A plain server that answers every request with its own name.
pub(crate) fn http(server: &str, port: u16) -> Listener {
    Listener {
        origin: Origin::for_test(),
        gateway: "default/gw".into(),
        server: server.into(),
        port,
        bind: None,
        protocol: ListenerProtocol::Http,
        hosts: vec![HostPattern::Any],
        https_redirect: false,
        tls: None,
        connections: Arc::default(),
        requests: RequestPolicy::default(),
        virtual_hosts: vec![VirtualHost {
            host: HostPattern::Any,
            rules: vec![Arc::new(answering(server))],
        }]
        .into(),
        tcp_routes: Vec::new(),
        plugins: Vec::new(),
        filters: None,
        authentication: None,
        authorization: None,
        access_log: None,
    }
}

/// The same over TLS.
pub(crate) fn https(server: &str, port: u16, credential: Credential) -> Listener {
    Listener {
        protocol: ListenerProtocol::Https,
        tls: Some(TlsSettings {
            apart: None,
            credentials: vec![credential],
            client_auth: portcullis_model::ClientAuth::NotAsked,
            parameters: Default::default(),
        }),
        ..http(server, port)
    }
}

fn answering(server: &str) -> Rule {
    let id = format!("VirtualService/default/{server}/http[0]");
    let body = Bytes::copy_from_slice(server.as_bytes());
    let answer = DirectResponse { status: StatusCode::OK, body };
    Rule::new(id.into(), Origin::for_test(), Action::DirectResponse(answer))
}

/// A client that speaks raw HTTP/1.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Client(TcpStream::connect(address).await.unwrap())
    }

    /// Asks and reads one whole response.
    pub(crate) async fn ask(&mut self) -> String {
        self.0.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        loop {
            assert_ne!(self.0.read_buf(&mut read).await.unwrap(), 0, "no response");
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() == length.unwrap().parse::<usize>().unwrap() {
                    return text.into_owned();
                }
            }
        }
    }

    /// What comes before the server ends the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut read = String::new();
        self.0.read_to_string(&mut read).await.unwrap();
        read
    }
}
