//! Upstreams that break, under load: no idempotent request is lost, no POST is executed twice, nobody gets another's
//! reply, and nothing is left behind.

mod scene;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_testkit::manifests::{edge_policy, join, service_entry};
use portcullis_testkit::{
    Blackhole, Call, Client, Fault, FaultyUpstream, RawConnection, Refusing, within,
};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::shop::{self, HOST, TO_BLUE};
use scene::{CONNECTIONS, Scene, most_executed};

/// Fault 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_that_refuses_fails_nobody_and_is_out() {
    let (first, second) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::None).await);
    let refusing = Refusing::open();
    let mut scene = Scene::open(&[first.address, refusing.address, second.address]).await;
    let seen = scene.ask(CONNECTIONS, 10).await;
    assert_eq!(seen.good(), CONNECTIONS * 10, "{seen:?}");
    assert_eq!(most_executed(&[&first, &second], "POST"), 1);
    let line = scene.gateway.logged("endpoint ejected").await;
    assert!(line.contains(&refusing.address.to_string()), "{line}");
    scene.is_at_rest().await;
}

/// Fault 1, with none left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_refuse_everybody_gets_503() {
    let refusing = [Refusing::open(), Refusing::open(), Refusing::open()];
    let scene = Scene::open(&refusing.each_ref().map(|each| each.address)).await;
    let seen = scene.ask(CONNECTIONS, 4).await;
    assert_eq!(seen.of("GET", 503) + seen.of("POST", 503), CONNECTIONS * 4, "{seen:?}");
    scene.is_at_rest().await;
}

/// Fault 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blackhole_fails_nobody() {
    let (well, blackhole) = (FaultyUpstream::always(Fault::None).await, Blackhole::open());
    let endpoints = [well.address, blackhole.address];
    let scene = Scene::with(TO_BLUE, &endpoints, "connectTimeout: 500ms", "").await;
    let seen = scene.ask(CONNECTIONS, 6).await;
    assert_eq!(seen.good(), CONNECTIONS * 6, "{seen:?}");
    assert_eq!(most_executed(&[&well], "POST"), 1);
    scene.is_at_rest().await;
}

/// Fault 3: one request of twenty is reset before its reply's head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_before_the_head_lose_no_get_and_repeat_no_post() {
    let plan = |nth: usize| if nth % 20 == 19 { Fault::Reset } else { Fault::None };
    let breaking = FaultyUpstream::start(plan).await;
    // So many that no request meets a reset in each of its attempts.
    let rules = "- retries: {attempts: 6}\n  route:\n  - destination: {host: blue.example}\n";
    let scene = Scene::with(rules, &[breaking.address], "", "").await;
    let seen = scene.ask(CONNECTIONS, 10).await;
    assert_eq!(seen.of("GET", 200), CONNECTIONS * 5, "{seen:?}");
    assert_eq!(seen.of("POST", 200) + seen.of("POST", 502), CONNECTIONS * 5, "{seen:?}");
    assert!(seen.of("POST", 502) > 0);
    assert_eq!(most_executed(&[&breaking], "POST"), 1);
    scene.is_at_rest().await;
}

/// Fault 4: every connection is closed after its reply, without having said so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_gets_race_with_the_end_of_their_connections() {
    let closing = FaultyUpstream::always(Fault::CloseAfterReply).await;
    let scene = Scene::open(&[closing.address]).await;
    let address = scene.gateway.address("http");
    let failed = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let failed = failed.clone();
        clients.spawn(async move {
            let mut client = Client::http1(address).await.unwrap();
            for turn in 0..10_000 / CONNECTIONS {
                let path = format!("/{connection}/{turn}");
                let reply = client.get(HOST, &path).await;
                if reply.status != 200 || reply.json()["path"] != path.as_str() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    clients.join_all().await;
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    scene.is_at_rest().await;
}

/// Fault 5.
#[tokio::test]
async fn a_reset_in_mid_body_never_looks_whole() {
    let breaking = FaultyUpstream::always(Fault::ResetInBody).await;
    let mut scene = Scene::open(&[breaking.address]).await;
    for protocol in ["http1", "h2c"] {
        let address = scene.gateway.address("http");
        let mut client = match protocol {
            "http1" => Client::http1(address).await.unwrap(),
            _ => Client::h2c(address).await.unwrap(),
        };
        assert!(client.try_call(Call::get(HOST, "/a")).await.is_err(), "{protocol}");
        let line = scene.gateway.access_line().await;
        assert!(line.contains(" UC upstream_reset_after_response_started"), "{line}");
    }
    assert_eq!(breaking.requests(), 2, "the client has the head, so nothing is repeated");
}

/// Fault 5, under load: one reply of ten breaks off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_break_off_touch_no_other() {
    let plan = |nth: usize| if nth % 10 == 9 { Fault::ResetInBody } else { Fault::None };
    let breaking = FaultyUpstream::start(plan).await;
    let scene = Scene::open(&[breaking.address]).await;
    let seen = scene.ask(CONNECTIONS, 10).await;
    let cut = breaking.requests() / 10;
    assert_eq!((seen.good(), seen.all()), (CONNECTIONS * 10 - cut, CONNECTIONS * 10), "{seen:?}");
    assert_eq!(most_executed(&[&breaking], "POST"), 1);
    assert_eq!(most_executed(&[&breaking], "GET"), 1, "the client has the head");
    scene.is_at_rest().await;
}

/// Fault 6, by a route's timeout of 300 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_head_in_time_is_504_and_ends_the_work() {
    let stalled = FaultyUpstream::always(Fault::Stall).await;
    let rules = "- timeout: 300ms\n  route:\n  - destination: {host: blue.example}\n";
    let scene = Scene::with(rules, &[stalled.address], "", "").await;
    let seen = scene.ask(CONNECTIONS, 2).await;
    assert_eq!((seen.of("GET", 504), seen.of("POST", 504)), (CONNECTIONS, CONNECTIONS), "{seen:?}");
    assert_eq!(most_executed(&[&stalled], "POST"), 1);
    scene.is_at_rest().await;
}

/// Fault 7: of two endpoints one says nothing, which costs each request that meets it the idle timeout, until it is out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_stalls_is_out_after_the_idle_timeout() {
    let (well, stalled) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::Stall).await);
    let policy = "outlierDetection: {consecutive5xxErrors: 5, interval: 1h, baseEjectionTime: 1h, \
                  maxEjectionPercent: 50}";
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
         spec:\n  host: blue.example\n  trafficPolicy: {{connectionPool: {{http: {{idleTimeout: 1s}}}}, {policy}}}\n"
    );
    let manifests = join(&[
        shop::manifests(TO_BLUE),
        service_entry("blue", "blue.example", 80, &[well.address, stalled.address]),
        rule,
        edge_policy("edge", "{timeouts: {streamIdle: 1s}}"),
    ]);
    let mut scene = Scene::before(&manifests).await;
    let seen = scene.ask(CONNECTIONS, 4).await;
    assert_eq!(seen.all(), CONNECTIONS * 4, "{seen:?}");
    assert_eq!(seen.good() + seen.of("GET", 504) + seen.of("POST", 504), seen.all(), "{seen:?}");
    assert_eq!(seen.good(), well.requests());
    scene.gateway.logged("endpoint ejected").await;
    let after = scene.ask(CONNECTIONS, 2).await;
    assert_eq!(after.good(), CONNECTIONS * 2, "{after:?}");
    assert!(most_executed(&[&stalled], "POST") <= 1);
    scene.is_at_rest().await;
}

/// Fault 7, in the middle of a reply: it breaks off, whole it never looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_stalls_is_broken_off_after_the_idle_timeout() {
    let stalled = FaultyUpstream::always(Fault::StallInBody).await;
    let manifests = join(&[
        shop::manifests(TO_BLUE),
        service_entry("blue", "blue.example", 80, &[stalled.address]),
        edge_policy("edge", "{timeouts: {streamIdle: 1s}}"),
    ]);
    let mut scene = Scene::before(&manifests).await;
    let seen = scene.ask(CONNECTIONS, 1).await;
    assert_eq!(seen.of("GET", 0), CONNECTIONS, "{seen:?}");
    let line = scene.gateway.access_line().await;
    assert!(line.contains(" 200 SI stream_idle_timeout "), "{line}");
    scene.is_at_rest().await;
}

/// Fault 7, in the middle of a reply: such an endpoint is out as well, though each head that it sent was good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_stalls_in_its_replies_is_out() {
    for (settings, reason) in [
        ("consecutiveGatewayErrors: 1", "consecutive_gateway_errors"),
        (
            "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 1",
            "consecutive_local_failures",
        ),
    ] {
        let (well, stalled) = (
            FaultyUpstream::always(Fault::None).await,
            FaultyUpstream::always(Fault::StallInBody).await,
        );
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
             spec:\n  host: blue.example\n  trafficPolicy: {{connectionPool: {{http: {{idleTimeout: 1s}}}}, outlierDetection: {{{settings}, interval: 1h, baseEjectionTime: 1h}}}}\n"
        );
        let manifests = join(&[
            shop::manifests(TO_BLUE),
            service_entry("blue", "blue.example", 80, &[well.address, stalled.address]),
            rule,
            edge_policy("edge", "{timeouts: {streamIdle: 1s}}"),
        ]);
        let mut scene = Scene::before(&manifests).await;
        let seen = scene.ask(10, 4).await;
        assert_eq!(seen.good() + seen.of("GET", 0) + seen.of("POST", 0), seen.all(), "{seen:?}");
        scene.gateway.logged(reason).await;
        let after = scene.ask(10, 4).await;
        assert_eq!(after.good(), after.all(), "{after:?}");
        scene.is_at_rest().await;
    }
}

/// Fault 8.
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
        let scene = Scene::open(&[breaking.address]).await;
        let connections = if fault == Fault::HugeHead { 10 } else { CONNECTIONS };
        let seen = scene.ask(connections, 2).await;
        let bad = (seen.of("GET", 502), seen.of("POST", 502));
        assert_eq!(bad, (connections, connections), "{fault:?}: {seen:?}");
        assert_eq!(most_executed(&[&breaking], "POST"), 1, "{fault:?}");
        scene.is_at_rest().await;
    }
}

/// Fault 8, in the body: chunks that are none, and fewer bytes than were said. It breaks off for the client too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_wrong_break_off() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n";
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabcd";
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcd";
    for said in [chunks, cut, short] {
        let breaking = FaultyUpstream::always(Fault::Says(said)).await;
        let scene = Scene::open(&[breaking.address]).await;
        let seen = scene.ask(20, 2).await;
        assert_eq!((seen.of("GET", 0), seen.of("POST", 0)), (20, 20), "{said:?}: {seen:?}");
        assert_eq!(breaking.requests(), 40);
        scene.is_at_rest().await;
    }
}

/// Fault 9. The client reads while it sends, as one must; then nothing can take the reply away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_refusal_of_an_upload_is_delivered() {
    let early = FaultyUpstream::always(Fault::Early).await;
    let scene = Scene::open(&[early.address]).await;
    let address = scene.gateway.address("http");
    let mut uploads = JoinSet::new();
    for nth in 0..20 {
        uploads.spawn(async move {
            let stream = RawConnection::connect(address).await.unwrap().into_stream();
            let (mut from, mut to) = stream.into_split();
            let sending = tokio::spawn(async move {
                use tokio::io::AsyncWriteExt;
                let head = format!(
                    "POST /{nth} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 8388608\r\n\r\n"
                );
                let _refused = to.write_all(head.as_bytes()).await;
                let body = [b'x'; 1 << 16];
                // The gateway closes in the middle of it.
                for _ in 0..128 {
                    if to.write_all(&body).await.is_err() {
                        break;
                    }
                }
                to
            });
            let mut reply = Vec::new();
            let _reset = within("a reply", from.read_to_end(&mut reply)).await;
            let reply = String::from_utf8_lossy(&reply).into_owned();
            assert!(reply.starts_with("HTTP/1.1 413 "), "{reply:?}");
            assert!(reply.ends_with("\r\n\r\nlarge"), "{reply:?}");
            drop(sending.await.unwrap());
        });
    }
    uploads.join_all().await;
    let mut client = Client::h2c(address).await.unwrap();
    let body = portcullis_testkit::TestBody::repeated(8 << 20);
    let reply = client.call(Call::new("PUT", HOST, "/a").body(body)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (413, "large"));
    assert_eq!(early.requests(), 21, "an answer is an answer");
    drop(client);
    scene.is_at_rest().await;
}

/// Fault 12: all answer 503, and the rule repeats for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_add_a_fifth_where_all_answer_503() {
    let down = FaultyUpstream::always(Fault::Status(503)).await;
    let rules =
        "- retries: {attempts: 3, retryOn: 5xx}\n  route:\n  - destination: {host: blue.example}\n";
    let scene = Scene::with(rules, &[down.address], "", "").await;
    let begun = tokio::time::Instant::now();
    let seen = scene.ask(CONNECTIONS, 20).await;
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let asked = seen.all();
    assert_eq!(asked, CONNECTIONS * 20);
    // Three a second are always allowed, beside the fifth.
    let most = asked + asked / 5 + 3 * seconds;
    assert!((asked + 1..=most).contains(&down.requests()), "{} of {asked}", down.requests());
    assert_eq!(most_executed(&[&down], "POST"), 1);
    scene.is_at_rest().await;
}

/// All of them at once, again and again: memory stays where the first rounds left it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_of_faults_leave_memory_where_it_was() {
    let faults = [
        Fault::None,
        Fault::Reset,
        Fault::None,
        Fault::CloseAfterReply,
        Fault::ResetInBody,
        Fault::Close,
        Fault::Status(503),
        Fault::Says("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"),
        Fault::ResetInHead,
    ];
    let (breaking, refusing) =
        (FaultyUpstream::start(move |nth| faults[nth % faults.len()]).await, Refusing::open());
    let scene = Scene::open(&[breaking.address, refusing.address]).await;
    for _ in 0..2 {
        scene.ask(CONNECTIONS, 10).await;
    }
    scene.is_at_rest().await;
    let before = scene.gateway.resident_kib();
    for _ in 0..4 {
        scene.ask(CONNECTIONS, 10).await;
    }
    scene.is_at_rest().await;
    let after = scene.gateway.resident_kib();
    // Half a kibibyte left behind by each of 8000 requests would be four mebibytes.
    assert!(after < before + (4 << 10), "{before} KiB became {after} KiB");
}
