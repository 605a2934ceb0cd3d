//! A gateway under load before upstreams that break, and what it still holds when the load is over.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, FaultyUpstream, within};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

/// The connections of a load.
pub const CONNECTIONS: usize = 200;

/// Idle connections go soon, so that nothing of a load is left.
const SOON_IDLE: &str = "http: {idleTimeout: 1s}";

/// A gateway, and the descriptors that it had when nothing had come yet.
pub struct Scene {
    pub gateway: Gateway,
    descriptors: usize,
}

/// What the clients saw: how often each status came, by method.
#[derive(Debug, Default)]
pub struct Seen(HashMap<(&'static str, u16), usize>);

impl Scene {
    /// Before these endpoints.
    pub async fn open(endpoints: &[SocketAddr]) -> Self {
        Scene::with(TO_BLUE, endpoints, "", "").await
    }

    /// With these rules, further fields of `connectionPool.tcp` and further fields of the policy.
    pub async fn with(rules: &str, endpoints: &[SocketAddr], tcp: &str, policy: &str) -> Self {
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
             spec:\n  host: blue.example\n  trafficPolicy: {{connectionPool: {{tcp: {{{tcp}}}, {SOON_IDLE}}}, {policy}}}\n"
        );
        let entry = service_entry("blue", "blue.example", 80, endpoints);
        Scene::before(&join(&[shop::manifests(rules), entry, rule])).await
    }

    /// With these manifests.
    pub async fn before(manifests: &str) -> Self {
        let gateway = Gateway::start(manifests).await;
        let descriptors = descriptors(&gateway);
        Scene { gateway, descriptors }
    }

    /// So many connections ask so many requests each, GET and POST in turn, each with a path of its own.
    pub async fn ask(&self, connections: usize, each: usize) -> Seen {
        let address = self.gateway.address("http");
        let mut clients = JoinSet::new();
        for connection in 0..connections {
            clients.spawn(ask_on(address, connection, each));
        }
        let mut seen = Seen::default();
        for one in clients.join_all().await {
            one.0.into_iter().for_each(|(key, times)| *seen.0.entry(key).or_default() += times);
        }
        seen
    }

    /// Nothing is under way any more, no connection is open, and there are no more descriptors than at first.
    pub async fn is_at_rest(&self) {
        within("nothing under way", async {
            while !self.endpoints().await.iter().all(is_idle) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        within("descriptors that are closed", async {
            while descriptors(&self.gateway) > self.descriptors {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// All endpoints as the admin port shows them.
    pub async fn endpoints(&self) -> Vec<Value> {
        let mut admin = Client::http1(self.gateway.side_port("admin")).await.unwrap();
        let clusters = admin.get("localhost", "/clusters").await.json();
        let clusters = clusters["clusters"].as_array().unwrap().iter();
        clusters.flat_map(|cluster| cluster["endpoints"].as_array().unwrap().clone()).collect()
    }
}

impl Seen {
    /// How many requests with this method got this status.
    pub fn of(&self, method: &'static str, status: u16) -> usize {
        self.0.get(&(method, status)).copied().unwrap_or(0)
    }

    /// How many got 200.
    pub fn good(&self) -> usize {
        self.of("GET", 200) + self.of("POST", 200)
    }

    /// How many there were.
    pub fn all(&self) -> usize {
        self.0.values().sum()
    }
}

/// How often one request with this method was executed, at most.
pub fn most_executed(upstreams: &[&FaultyUpstream], method: &str) -> usize {
    let mut times: HashMap<String, usize> = HashMap::new();
    for (request, count) in upstreams.iter().flat_map(|upstream| upstream.executed()) {
        *times.entry(request).or_default() += count;
    }
    let ours = times.iter().filter(|(request, _)| request.starts_with(method));
    ours.map(|(_, count)| *count).max().unwrap_or(0)
}

async fn ask_on(address: SocketAddr, connection: usize, each: usize) -> Seen {
    let mut seen = Seen::default();
    let mut client = Client::http1(address).await.unwrap();
    for turn in 0..each {
        let path = format!("/{connection}/{turn}");
        let (method, call) = match turn % 2 {
            0 => ("GET", Call::get(HOST, &path)),
            _ => ("POST", Call::post(HOST, &path, path.clone())),
        };
        let reply = client.try_call(call).await;
        // A reply that breaks off has no status.
        let status = reply.as_ref().map_or(0, |reply| reply.status.as_u16());
        if let Ok(reply) = &reply
            && reply.status == 200
        {
            assert_eq!(reply.json()["path"], path.as_str(), "another request's reply");
        }
        if reply.is_err() || reply.is_ok_and(|reply| reply.header("connection") == "close") {
            client = Client::http1(address).await.unwrap();
        }
        *seen.0.entry((method, status)).or_default() += 1;
    }
    seen
}

fn is_idle(endpoint: &Value) -> bool {
    endpoint["active_requests"] == 0 && endpoint["connections"] == 0
}

fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count()
}
