//! Timeouts and repeats.

use portcullis_testkit::{Fault, FaultyUpstream};

use super::*;

async fn in_front_of(rule: &str, upstream: std::net::SocketAddr) -> (Gateway, Client) {
    let rule = format!("{rule}, backendRefs: [{{name: faulty, port: 80}}]");
    let manifests = join(&[
        api_gateway(&[HTTP]),
        http_route("r", "", &[&rule]),
        kubernetes_service("faulty", 80, upstream),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

#[tokio::test]
async fn a_request_or_an_attempt_that_takes_too_long_is_504() {
    let silent = Upstream::start("silent");
    for timeouts in ["request: 100ms", "backendRequest: 50ms", "request: 10s, backendRequest: 50ms"]
    {
        let rule = format!("timeouts: {{{timeouts}}}, retry: {{attempts: 0}}");
        let (_gateway, mut client) = in_front_of(&rule, silent.address()).await;
        assert_eq!(client.get("a.test", "/slow").await.status, 504, "{timeouts}");
        assert_eq!(client.get("a.test", "/").await.status, 200, "{timeouts}");
    }
    let (_gateway, mut client) = in_front_of("timeouts: {request: 0s}", silent.address()).await;
    assert_eq!(client.get("a.test", "/").await.status, 200);
}

#[tokio::test]
async fn statuses_and_broken_connections_are_worth_further_attempts() {
    for (retry, fault, failures, status, requests) in [
        ("codes: [500], attempts: 3", Fault::Status(500), 2, 200, 3),
        ("codes: [500], attempts: 3", Fault::Status(503), 2, 503, 1),
        ("codes: [500, 502], attempts: 1", Fault::Status(502), 2, 502, 2),
        ("codes: [500], attempts: 0", Fault::Status(500), 2, 500, 1),
        ("attempts: 2, backoff: 1ms", Fault::Reset, 2, 200, 3),
    ] {
        let upstream =
            FaultyUpstream::start(move |nth| if nth < failures { fault } else { Fault::None })
                .await;
        let rule = format!("retry: {{{retry}}}");
        let (_gateway, mut client) = in_front_of(&rule, upstream.address).await;
        assert_eq!(client.get("a.test", "/").await.status, status, "{retry}");
        assert_eq!(upstream.requests(), requests, "{retry}");
    }
}
