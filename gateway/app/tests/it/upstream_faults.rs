//! Upstreams that break, under load: no idempotent request is lost, no POST is executed twice, nobody gets another's
//! reply, and nothing is left behind.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Blackhole, Call, Client, Fault, FaultyUpstream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

const CONNECTIONS: usize = 200;

/// What the clients saw: how often each status came, by method.
type Seen = HashMap<(&'static str, u16), usize>;

async fn gateway_for(endpoints: &[SocketAddr], policy: &str) -> Gateway {
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
         spec:\n  host: blue.example\n  trafficPolicy: {{{policy}}}\n"
    );
    let entry = service_entry("blue", "blue.example", 80, endpoints);
    Gateway::start(&join(&[shop::manifests(TO_BLUE), entry, rule])).await
}

/// So many connections ask so many requests each, GET and POST in turn, each with a path of its own.
async fn ask(gateway: &Gateway, connections: usize, each: usize) -> Seen {
    let address = gateway.address("http");
    let mut clients = JoinSet::new();
    for connection in 0..connections {
        clients.spawn(ask_on(address, connection, each));
    }
    let mut seen = Seen::new();
    for one in clients.join_all().await {
        one.into_iter().for_each(|(key, times)| *seen.entry(key).or_default() += times);
    }
    seen
}

async fn ask_on(address: SocketAddr, connection: usize, each: usize) -> Seen {
    let mut seen = Seen::new();
    let mut client = Client::http1(address).await.unwrap();
    for turn in 0..each {
        let path = format!("/{connection}/{turn}");
        let (method, call) = match turn % 2 {
            0 => ("GET", Call::get(HOST, &path)),
            _ => ("POST", Call::post(HOST, &path, path.clone())),
        };
        let reply = client.call(call).await;
        if reply.status == 200 {
            assert_eq!(reply.json()["path"], path.as_str(), "another request's reply");
        }
        *seen.entry((method, reply.status.as_u16())).or_default() += 1;
    }
    seen
}

/// How often requests with this method were executed, at most.
fn most_executed(upstreams: &[&FaultyUpstream], method: &str) -> usize {
    let mut times: HashMap<String, usize> = HashMap::new();
    for (request, count) in upstreams.iter().flat_map(|upstream| upstream.executed()) {
        *times.entry(request).or_default() += count;
    }
    let ours = times.iter().filter(|(request, _)| request.starts_with(method));
    ours.map(|(_, count)| *count).max().unwrap_or(0)
}

fn all(seen: &Seen, method: &str) -> usize {
    seen.iter().filter(|((which, _), _)| *which == method).map(|(_, times)| times).sum()
}

fn of(seen: &Seen, method: &'static str, status: u16) -> usize {
    seen.get(&(method, status)).copied().unwrap_or(0)
}

/// A port where nobody listens and nobody will.
fn refusing() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Fault 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_that_refuses_fails_nobody() {
    let (first, second) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::None).await);
    let (_socket, refusing) = refusing();
    let gateway = gateway_for(&[first.address, refusing, second.address], "").await;
    let seen = ask(&gateway, CONNECTIONS, 10).await;
    assert_eq!(of(&seen, "GET", 200) + of(&seen, "POST", 200), CONNECTIONS * 10, "{seen:?}");
    assert_eq!(most_executed(&[&first, &second], "POST"), 1);
}

/// Fault 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blackhole_fails_nobody() {
    let (well, blackhole) = (FaultyUpstream::always(Fault::None).await, Blackhole::open());
    let policy = "connectionPool: {tcp: {connectTimeout: 500ms}}";
    let gateway = gateway_for(&[well.address, blackhole.address], policy).await;
    let seen = ask(&gateway, 50, 6).await;
    assert_eq!(of(&seen, "GET", 200) + of(&seen, "POST", 200), 300, "{seen:?}");
    assert_eq!(most_executed(&[&well], "POST"), 1);
}

/// Fault 3: one request of twenty is reset before its reply's head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_before_the_head_lose_no_get_and_repeat_no_post() {
    let plan = |nth: usize| if nth % 20 == 19 { Fault::Reset } else { Fault::None };
    let breaking = FaultyUpstream::start(plan).await;
    let gateway = gateway_for(&[breaking.address], "").await;
    let seen = ask(&gateway, CONNECTIONS, 10).await;
    assert_eq!(of(&seen, "GET", 200), CONNECTIONS * 5, "{seen:?}");
    assert_eq!(of(&seen, "POST", 200) + of(&seen, "POST", 502), CONNECTIONS * 5, "{seen:?}");
    assert!(of(&seen, "POST", 502) > 0);
    assert_eq!(most_executed(&[&breaking], "POST"), 1);
}

/// Fault 4: every connection is closed after its reply, without having said so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_gets_race_with_the_end_of_their_connections() {
    let closing = FaultyUpstream::always(Fault::CloseAfterReply).await;
    let gateway = gateway_for(&[closing.address], "").await;
    let address = gateway.address("http");
    let failed = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for connection in 0..50 {
        let failed = failed.clone();
        clients.spawn(async move {
            let mut client = Client::http1(address).await.unwrap();
            for turn in 0..200 {
                let reply = client.get(HOST, &format!("/{connection}/{turn}")).await;
                if reply.status != 200 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    clients.join_all().await;
    assert_eq!(failed.load(Ordering::Relaxed), 0);
}

/// Fault 5.
#[tokio::test]
async fn a_reset_in_mid_body_never_looks_whole() {
    let breaking = FaultyUpstream::always(Fault::ResetInBody).await;
    let mut gateway = gateway_for(&[breaking.address], "").await;
    for protocol in ["http1", "h2c"] {
        let address = gateway.address("http");
        let mut client = match protocol {
            "http1" => Client::http1(address).await.unwrap(),
            _ => Client::h2c(address).await.unwrap(),
        };
        assert!(client.try_call(Call::get(HOST, "/a")).await.is_err(), "{protocol}");
        let line = gateway.access_line().await;
        assert!(line.contains(" UC upstream_reset_after_response_started"), "{line}");
    }
    assert_eq!(breaking.requests(), 2, "the client has the head, so nothing is repeated");
}

/// Fault 6, by a route's timeout of 300 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_head_in_time_is_504_and_ends_the_work() {
    let stalled = FaultyUpstream::always(Fault::Stall).await;
    let rules =
        shop::manifests("- timeout: 300ms\n  route:\n  - destination: {host: blue.example}\n");
    let entry = service_entry("blue", "blue.example", 80, &[stalled.address]);
    let gateway = Gateway::start(&join(&[rules, entry])).await;
    let seen = ask(&gateway, 50, 2).await;
    assert_eq!((of(&seen, "GET", 504), of(&seen, "POST", 504)), (50, 50), "{seen:?}");
    assert_eq!(most_executed(&[&stalled], "POST"), 1);
}

/// Faults 8 and 12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_reply_is_502() {
    let wrong = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    for fault in [
        Fault::Says("no HTTP at all\r\n\r\n"),
        Fault::Says(wrong),
        Fault::Says(chunks),
        Fault::Says(switched),
        Fault::HugeHead,
        Fault::Interim,
    ] {
        let breaking = FaultyUpstream::always(fault).await;
        let gateway = gateway_for(&[breaking.address], "").await;
        let seen = ask(&gateway, 10, 2).await;
        assert_eq!(
            (of(&seen, "GET", 502), of(&seen, "POST", 502)),
            (10, 10),
            "{fault:?}: {seen:?}"
        );
        assert_eq!(most_executed(&[&breaking], "POST"), 1, "{fault:?}");
    }
}

/// Fault 9.
#[tokio::test]
async fn an_early_refusal_of_an_upload_is_delivered() {
    let early = FaultyUpstream::always(Fault::Early).await;
    let gateway = gateway_for(&[early.address], "").await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for method in ["POST", "PUT"] {
        let body = portcullis_testkit::TestBody::repeated(8 << 20);
        let reply = client.try_call(Call::new(method, HOST, "/a").body(body)).await;
        if let Ok(reply) = reply {
            assert_eq!((reply.status.as_u16(), reply.text()), (413, "large"), "{method}");
        }
        client = Client::http1(gateway.address("http")).await.unwrap();
    }
    assert_eq!(early.requests(), 2, "an answer is an answer");
}

/// Fault 12: all answer 503, and the rule repeats for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_add_a_fifth_where_all_answer_503() {
    let down = FaultyUpstream::always(Fault::Status(503)).await;
    let rules = shop::manifests(
        "- retries: {attempts: 3, retryOn: 5xx}\n  route:\n  - destination: {host: blue.example}\n",
    );
    let entry = service_entry("blue", "blue.example", 80, &[down.address]);
    let gateway = Gateway::start(&join(&[rules, entry])).await;
    let begun = tokio::time::Instant::now();
    let seen = ask(&gateway, CONNECTIONS, 20).await;
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let asked = all(&seen, "GET") + all(&seen, "POST");
    assert_eq!(asked, CONNECTIONS * 20);
    // Three a second are always allowed, beside the fifth.
    let most = asked + asked / 5 + 3 * seconds;
    assert!((asked + 1..=most).contains(&down.requests()), "{} of {asked}", down.requests());
    assert_eq!(most_executed(&[&down], "POST"), 1);
}
