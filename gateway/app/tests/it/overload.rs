//! Too many connections, too few descriptors, too little memory, and a process that stood still.

use std::time::Duration;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, RawConnection, Reply, Upstream, within};

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop, TO_BLUE, backends};

/// The value of a metric; 0 where it is not told.
async fn metric(client: &mut Client, name: &str) -> u64 {
    let text = client.get("localhost", "/stats/prometheus").await;
    let line = text.text().lines().find(|line| line.starts_with(name)).map(str::to_owned);
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn metrics(gateway: &Gateway) -> Client {
    Client::http1(gateway.side_port("metrics")).await.unwrap()
}

/// Connects and asks until it is served.
async fn served(gateway: &Gateway) -> Client {
    let asking = async {
        loop {
            let Ok(mut client) = Client::http1(gateway.address("http")).await else { continue };
            let reply = client.try_call(Call::get(HOST, "/")).await;
            if reply.is_ok_and(|reply| reply.status == 200) {
                return client;
            }
        }
    };
    within("a connection that is served", asking).await
}

/// Whether a connection is closed without a byte, perhaps before it is known to be open.
async fn is_turned_away(gateway: &Gateway) -> bool {
    match RawConnection::connect(gateway.address("http")).await {
        Ok(mut connection) => connection.read_to_close().await.is_empty(),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn edge_policy(spec: &str) -> String {
    format!(
        "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: edge, namespace: default}}\n\
         spec:\n  targetRefs: [{{kind: Gateway, name: shop}}]\n  {spec}\n"
    )
}

async fn shop_with_policy(spec: &str) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let manifests = join(&[shop::manifests(TO_BLUE), backends(&blue, &green), edge_policy(spec)]);
    let gateway = Gateway::start(&manifests).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

#[tokio::test]
async fn connections_over_the_sockets_limit_are_closed_at_once() {
    let mut shop = shop_with_policy("limits: {connections: 3}").await;
    assert_eq!(shop.get("/").await.status, 200);
    let second = served(&shop.gateway).await;
    let _third = served(&shop.gateway).await;
    assert!(is_turned_away(&shop.gateway).await);
    let mut metrics = metrics(&shop.gateway).await;
    let refused = "portcullis_connections_refused_total{limit=\"socket\"}";
    assert_eq!(metric(&mut metrics, refused).await, 1);
    assert_eq!(metric(&mut metrics, "portcullis_connections ").await, 3);
    assert_eq!(shop.get("/").await.status, 200, "the others go on");
    drop(second);
    served(&shop.gateway).await;
}

#[tokio::test]
async fn connections_take_no_more_than_half_of_the_descriptors() {
    let blue = Upstream::start("blue");
    let manifests = join(&[
        shop::manifests(TO_BLUE),
        service_entry("blue", "blue.example", 80, &[blue.address()]),
    ]);
    let gateway = Gateway::start_with_descriptors(&manifests, 256).await;
    assert!(gateway.log.iter().any(|line| line.contains("connections=128")), "{:?}", gateway.log);
    let mut clients = Vec::new();
    for _ in 0..128 {
        clients.push(served(&gateway).await);
    }
    assert!(is_turned_away(&gateway).await);
    let mut metrics = metrics(&gateway).await;
    let refused = "portcullis_connections_refused_total{limit=\"process\"}";
    assert!(metric(&mut metrics, refused).await >= 1);
    clients.pop();
    served(&gateway).await;
}

#[tokio::test]
async fn without_descriptors_connections_wait_and_nothing_spins() {
    let mut shop = Shop::open_with(TO_BLUE, &["--workers", "1"]).await;
    let mut metrics = metrics(&shop.gateway).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(metric(&mut metrics, "portcullis_accept_errors_total").await, 0);
    shop.gateway.limit_descriptors(0);
    let mut waiting = shop.connect().await;
    shop.gateway.wait_for_log("cannot accept").await;
    // Those who are in are served as ever, access log and all.
    for _ in 0..20 {
        assert_eq!(shop.get("/in").await.status, 200);
        shop.gateway.access_line_with("/in").await;
    }
    // Each error is followed by a rest; without one there would be thousands.
    let failed = within("further attempts", async {
        loop {
            let failed = metric(&mut metrics, "portcullis_accept_errors_total").await;
            if failed >= 5 {
                return failed;
            }
        }
    });
    assert!(failed.await < 100);
    shop.gateway.unlimit_descriptors();
    assert_eq!(waiting.get(HOST, "/waited").await.status, 200);
    let warned = shop.gateway.log.iter().filter(|line| line.contains("cannot accept"));
    assert_eq!(warned.count(), 1, "told once");
}

#[tokio::test]
async fn without_descriptors_for_an_upstream_it_is_503() {
    let mut shop = Shop::open_with(TO_BLUE, &["--workers", "1"]).await;
    let mut second = shop.connect().await;
    let direct = |reply: Reply| reply.status.as_u16();
    // Both connections are in, and only the first has one to the upstream.
    assert_eq!(direct(shop.get("/").await), 200);
    let mut held = shop.connect().await;
    let slow = tokio::spawn(async move { held.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    let raw = "GET / HTTP/1.1\r\nhost: nowhere.example\r\nconnection: close\r\n\r\n";
    RawConnection::exchange(shop.gateway.address("http"), raw).await;
    assert_eq!(second.get("nowhere.example", "/").await.status, 404, "it is in");
    shop.gateway.limit_descriptors(0);
    assert_eq!(direct(second.get(HOST, "/none-left").await), 503);
    let line = shop.gateway.access_line_with("/none-left").await;
    assert!(line.contains(" 503 UF ") && line.contains("no descriptor left"), "{line}");
    shop.gateway.unlimit_descriptors();
    assert_eq!(direct(second.get(HOST, "/again").await), 200);
    shop.blue.release();
    assert_eq!(slow.await.unwrap().text(), "released");
}

/// A connection whose request was refused for want of memory.
async fn refused_by(shop: &mut Shop, protocol: &str) -> Client {
    let address = shop.gateway.address("http");
    loop {
        let mut client = match protocol {
            "HTTP/1" => Client::http1(address).await.unwrap(),
            _ => Client::h2c(address).await.unwrap(),
        };
        // One that is idle when memory is looked at is sent away.
        let Ok(reply) = client.try_call(Call::get(HOST, "/refused")).await else { continue };
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
        let line = shop.gateway.access_line_with("/refused").await;
        assert!(line.contains(" 503 OM overload ") && line.contains(protocol), "{line}");
        return client;
    }
}

#[tokio::test]
async fn short_of_memory_requests_are_refused_and_health_stays_up() {
    let mut shop = Shop::open_with(TO_BLUE, &["--memory-limit", "1Mi"]).await;
    if !shop.gateway.log.iter().any(|line| line.contains("requests are refused")) {
        shop.gateway.wait_for_log("requests are refused").await;
    }
    let (http1, http2) =
        (refused_by(&mut shop, "HTTP/1").await, refused_by(&mut shop, "HTTP/2").await);
    assert_eq!(shop.blue.until(|_| true).await.requests, 0);
    // Whoever is idle is sent away.
    for client in [&http1, &http2] {
        let gone = async {
            while !client.is_closed() {
                tokio::task::yield_now().await;
            }
        };
        within("the end of a connection", gone).await;
    }
    let mut status = Client::http1(shop.gateway.side_port("status")).await.unwrap();
    assert_eq!(status.get("localhost", "/healthz/ready").await.status, 200);
    let mut metrics = metrics(&shop.gateway).await;
    assert_eq!(metric(&mut metrics, "portcullis_overload_level").await, 2);
    assert!(metric(&mut metrics, "portcullis_overload_requests_total").await >= 2);
    assert_eq!(metric(&mut metrics, "portcullis_memory_limit_bytes").await, 1 << 20);
}

/// The stop itself lasts five seconds, longer than the idle time.
#[tokio::test]
async fn a_process_that_stood_still_holds_it_against_nobody() {
    let mut shop = shop_with_policy("timeouts: {idle: 3s}").await;
    let mut waiting = shop.connect().await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(waiting.get(HOST, "/").await.status, 200);
    let mut held = shop.connect().await;
    let slow = tokio::spawn(async move { held.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("STOP");
    let asked = tokio::spawn(async move { waiting.get(HOST, "/meanwhile").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    shop.gateway.signal("CONT");
    assert_eq!(asked.await.unwrap().status, 200);
    assert_eq!(shop.get("/after").await.status, 200, "an idle connection was not cut");
    shop.blue.release();
    assert_eq!(slow.await.unwrap().text(), "released");
    let mut status = Client::http1(shop.gateway.side_port("status")).await.unwrap();
    assert_eq!(status.get("localhost", "/healthz/ready").await.status, 200);
}
