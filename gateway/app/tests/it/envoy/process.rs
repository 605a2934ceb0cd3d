//! An Envoy process on loopback, every port of its own choice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use portcullis_testkit::{Client, within};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running Envoy; killed when dropped.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    listeners: Value,
    _directory: TempDir,
}

/// How the Envoy before the gateway speaks to it.
#[derive(Clone, Copy, Debug)]
pub enum Front {
    Http1,
    Http2,
    Tls,
}

impl Front {
    /// The name of its listener.
    pub fn name(self) -> &'static str {
        match self {
            Front::Http1 => "http1",
            Front::Http2 => "http2",
            Front::Tls => "tls",
        }
    }
}

impl Envoy {
    /// A sidecar with one listener, `sidecar`, before an upstream.
    pub async fn sidecar(upstream: SocketAddr) -> Self {
        let cluster = cluster("upstream", upstream, &json!({}));
        Self::start(&[listener("sidecar", "upstream")], &[cluster]).await
    }

    /// A client of the gateway with a listener for each [`Front`].
    pub async fn front(plain: SocketAddr, tls: SocketAddr) -> Self {
        let fronts = [Front::Http1, Front::Http2, Front::Tls];
        let listeners = fronts.map(|front| listener(front.name(), front.name()));
        let http2 = protocol(&json!({"http2_protocol_options": {}}));
        let mut over_tls = cluster("tls", tls, &http2);
        over_tls["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": api("transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": crate::shop::HOST,
                "common_tls_context": {"alpn_protocols": ["h2"]},
            },
        });
        let clusters =
            [cluster("http1", plain, &json!({})), cluster("http2", plain, &http2), over_tls];
        Self::start(&listeners, &clusters).await
    }

    /// Where the listener with this name listens.
    pub fn address(&self, name: &str) -> SocketAddr {
        let listeners = self.listeners["listener_statuses"].as_array().unwrap();
        let listener = listeners.iter().find(|listener| listener["name"] == name).unwrap();
        let socket = &listener["local_address"]["socket_address"];
        let port = socket["port_value"].as_u64().unwrap();
        SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()))
    }

    /// A counter of its statistics, summed up over all listeners and clusters.
    pub async fn counter(&self, name: &str) -> u64 {
        let mut client = Client::http1(self.admin).await.unwrap();
        let reply = client.get("envoy", &format!("/stats?filter={name}")).await;
        let number = |line: &str| line.rsplit_once(": ")?.1.parse::<u64>().ok();
        reply.text().lines().filter_map(number).sum()
    }

    /// One with these listeners and clusters.
    pub async fn start(listeners: &[Value], clusters: &[Value]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, admin) = (directory.path().join("envoy.json"), directory.path().join("admin"));
        let bootstrap = json!({
            "node": {"id": "envoy", "cluster": "tests"},
            "admin": {"address": on_loopback(0)},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        std::fs::write(&config, bootstrap.to_string()).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(binary())
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy =
            Envoy { child, admin: on_port(0), listeners: Value::Null, _directory: directory };
        envoy.admin = within("Envoy's admin address", address_in(&admin)).await;
        envoy.listeners = within("Envoy's listeners", envoy.until_live()).await;
        envoy
    }

    /// Its listeners, once it serves.
    async fn until_live(&self) -> Value {
        loop {
            if let Ok(mut client) = Client::http1(self.admin).await
                && let Ok(ready) =
                    client.try_call(portcullis_testkit::Call::get("envoy", "/ready")).await
                && ready.status == 200
            {
                return client.get("envoy", "/listeners?format=json").await.json();
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Envoy's own binary in what `.ci/peers` installed.
pub fn binary() -> PathBuf {
    let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/lib");
    let pythons = std::fs::read_dir(peers).unwrap_or_else(|_| panic!("no Envoy: run .ci/peers"));
    let binary = |python: std::fs::DirEntry| python.path().join("site-packages/envoy/_bin/envoy");
    let mut binaries = pythons.map(|python| binary(python.unwrap()));
    binaries.find(|binary| binary.exists()).expect("no Envoy: run .ci/peers")
}

/// Written by Envoy when it has bound the port.
async fn address_in(file: &std::path::Path) -> SocketAddr {
    loop {
        if let Ok(text) = std::fs::read_to_string(file)
            && let Ok(address) = text.trim().parse()
        {
            return address;
        }
        tokio::task::yield_now().await;
    }
}

/// A listener that passes every request on to a cluster.
pub fn listener(name: &str, cluster: &str) -> Value {
    let routes = json!({"virtual_hosts": [{
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}],
    }]});
    let manager = json!({
        "@type": api("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "codec_type": "AUTO",
        "http_protocol_options": {"enable_trailers": true},
        "route_config": routes,
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": api("filters.http.router.v3.Router")},
        }],
    });
    let filter = json!({"name": "http", "typed_config": manager});
    json!({"name": name, "address": on_loopback(0), "filter_chains": [{"filters": [filter]}]})
}

/// A cluster of one endpoint.
pub fn cluster(name: &str, address: SocketAddr, options: &Value) -> Value {
    let endpoint = json!({"endpoint": {"address": on_loopback(address.port())}});
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    let explicit = protocol(&json!({"http_protocol_options": {"enable_trailers": true}}));
    let options = if options == &json!({}) { &explicit } else { options };
    cluster["typed_extension_protocol_options"] = options.clone();
    cluster
}

/// A cluster of one endpoint that speaks HTTP/2.
pub fn http2_cluster(name: &str, address: SocketAddr) -> Value {
    cluster(name, address, &protocol(&json!({"http2_protocol_options": {}})))
}

/// What a cluster speaks.
fn protocol(options: &Value) -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let of_type = format!("type.googleapis.com/{name}");
    json!({name: {"@type": of_type, "explicit_http_config": options}})
}

/// The type of an extension.
pub fn api(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}

fn on_loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn on_port(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
