//! A real Envoy on both sides: as the client that stands before the gateway, and as the sidecar behind it.

pub mod process;

use portcullis_testkit::manifests::{
    gateway, http_server, https_server, join, service_entry, tls_secret, virtual_service,
};
use portcullis_testkit::{Call, Certificates, Client, Upstream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::HOST;
use process::{Envoy, Front};

const FRONTS: [Front; 3] = [Front::Http1, Front::Http2, Front::Tls];

/// Client, Envoy, gateway, Envoy, upstream.
struct Scene {
    envoy: Envoy,
    gateway: Gateway,
    blue: Upstream,
    _sidecar: Envoy,
}

impl Scene {
    async fn open() -> Self {
        let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
        let sidecar = Envoy::sidecar(blue.address()).await;
        let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
        let rules = "- route:\n  - destination: {host: blue.example}\n";
        let gateway = Gateway::start(&join(&[
            gateway("shop", &servers),
            virtual_service("shop", "shop", &["*"], rules),
            service_entry("blue", "blue.example", 80, &[sidecar.address("sidecar")]),
            tls_secret("shop", &certificates),
        ]))
        .await;
        let envoy = Envoy::front(gateway.address("http"), gateway.address("https")).await;
        Scene { envoy, gateway, blue, _sidecar: sidecar }
    }

    async fn client(&self, front: Front) -> Client {
        Client::http1(self.envoy.address(front.name())).await.unwrap()
    }
}

#[tokio::test]
async fn requests_of_every_kind_pass_between_two_envoys() {
    let scene = Scene::open().await;
    for front in FRONTS {
        let mut client = scene.client(front).await;
        let echo = client.call(Call::post(HOST, "/a//b/../c?d=%2F", "hello")).await.json();
        assert_eq!((&echo["path"], &echo["body"]), (&"/a/c?d=%2F".into(), &"hello".into()));
        let reply = client.get(HOST, "/stream/4").await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 4 << 20), "{front:?}");
        let reply = client.call(Call::post(HOST, "/sink", vec![b'x'; 3 << 20])).await;
        assert_eq!(reply.json()["body_length"], 3 << 20, "{front:?}");
        let reply = client.get(HOST, "/status/404").await;
        assert_eq!((reply.status.as_u16(), reply.upstream()), (404, "blue"), "{front:?}");
        let reply = client.call(Call::new("HEAD", HOST, "/")).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0), "{front:?}");
    }
}

#[tokio::test]
async fn trailers_pass_between_two_envoys() {
    let scene = Scene::open().await;
    for front in [Front::Http2, Front::Tls] {
        let mut client = scene.client(front).await;
        let reply = client.call(Call::get(HOST, "/trailers").accept_trailers()).await;
        let trailers = reply.trailers.unwrap_or_else(|| panic!("{front:?}: no trailers"));
        assert!(trailers.contains_key("x-checksum"), "{front:?}: {trailers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_get_their_own_replies() {
    let scene = Scene::open().await;
    let mut asking = JoinSet::new();
    for number in 0..30 {
        let mut client = scene.client(FRONTS[number % FRONTS.len()]).await;
        asking.spawn(async move {
            for turn in 0..20 {
                let path = format!("/client/{number}/{turn}");
                let reply = client.call(Call::post(HOST, &path, path.clone())).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                let echo = reply.json();
                assert_eq!([&echo["path"], &echo["body"]], [&*path; 2]);
            }
        });
    }
    let asked = asking.join_all().await.len() * 20;
    assert_eq!(scene.blue.seen().requests, asked, "each was executed once");
}

#[tokio::test]
async fn a_drain_sends_an_envoy_away_without_an_error() {
    let mut scene = Scene::open().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut asking = JoinSet::new();
    for front in FRONTS {
        let (mut client, stopped) = (scene.client(front).await, stopped.clone());
        asking.spawn(async move {
            while !*stopped.borrow() {
                let reply = client.get(HOST, "/").await;
                assert_eq!(reply.status, 200, "{front:?}: {reply:?}");
            }
        });
    }
    scene.blue.until(|seen| seen.requests > 100).await;
    scene.gateway.signal("TERM");
    scene.gateway.wait_for_log("draining").await;
    let before = scene.blue.seen().requests;
    scene.blue.until(|seen| seen.requests > before + 100).await;
    stop.send(true).unwrap();
    asking.join_all().await;
}
