//! Ten thousand connections that ask once, wait for longer than an ALB does, and ask again.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_testkit::manifests::{
    gateway, http_server, https_server, join, tls_secret, virtual_service,
};
use portcullis_testkit::{Call, Certificates, Client, Tls};
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::shop::HOST;

const CONNECTIONS: usize = 10_000;
/// Opened at once, so that the listen queue never overflows.
const AT_ONCE: usize = 100;
/// Above an ALB's 60 s, below our 75 s.
const IDLE: Duration = Duration::from_secs(70);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: 70 s of waiting, 10 000 descriptors in two processes"]
async fn soak_ten_thousand_idle_connections_are_alive_at_70_s() {
    Box::pin(wait_idle("http", None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: 70 s of waiting, 10 000 descriptors in two processes"]
async fn soak_ten_thousand_idle_tls_connections_are_alive_at_70_s() {
    let certificates = Certificates::for_hosts(&[HOST]);
    Box::pin(wait_idle("https", Some(certificates))).await;
}

async fn wait_idle(server: &str, certificates: Option<Certificates>) {
    let certificates = certificates.unwrap_or_else(|| Certificates::for_hosts(&[HOST]));
    let gateway = open(&certificates).await;
    let address = gateway.address(server);
    let tls = (server == "https").then(|| Tls::new(HOST, &certificates).without_alpn());
    let asked = Instant::now();
    // One batch first, so that what is made once is not counted.
    let mut clients = Box::pin(connect(address, tls.as_ref(), AT_ONCE)).await;
    let before = gateway.resident_kib();
    while clients.len() < CONNECTIONS {
        clients.extend(Box::pin(connect(address, tls.as_ref(), AT_ONCE)).await);
    }
    let grown = gateway.resident_kib().saturating_sub(before);
    let each = grown as f64 / (CONNECTIONS - AT_ONCE) as f64;
    eprintln!("{server}: {each:.1} KiB for each idle connection");
    // They ask in the order in which they came, so that each has waited for about as long.
    tokio::time::sleep_until(asked + IDLE).await;
    for client in &mut clients {
        let reply = client.try_call(Call::get(HOST, "/")).await;
        assert_eq!(reply.map(|reply| reply.status.as_u16()).ok(), Some(204));
    }
}

async fn open(certificates: &Certificates) -> Gateway {
    let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
    let rules = "- directResponse: {status: 204}\n";
    Gateway::start(&join(&[
        gateway("shop", &servers),
        virtual_service("shop", "shop", &["*"], rules),
        tls_secret("shop", certificates),
    ]))
    .await
}

/// So many connections, each of which has asked once.
async fn connect(address: SocketAddr, tls: Option<&Tls>, count: usize) -> Vec<Client> {
    let opening = (0..count).map(|_| async move {
        let mut client = match tls {
            Some(tls) => Client::tls(address, tls).await.unwrap(),
            None => Client::http1(address).await.unwrap(),
        };
        assert_eq!(client.get(HOST, "/").await.status, 204);
        client
    });
    let mut opened = Vec::with_capacity(count);
    for client in opening {
        opened.push(client.await);
    }
    opened
}
