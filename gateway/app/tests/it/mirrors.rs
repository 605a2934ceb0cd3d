//! Copies of requests that go elsewhere, and cost the request itself nothing.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, Fault, FaultyUpstream, TestBody, within};

use crate::gateway::Gateway;
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST};

/// A gateway that sends everything to `primary`, and copies to `mirror` as these fields say.
async fn with_mirror(
    fields: &str,
    primary: &FaultyUpstream,
    mirror: &FaultyUpstream,
) -> (Gateway, Client) {
    with_mirror_at(fields, primary.address, mirror.address).await
}

async fn with_mirror_at(
    fields: &str,
    primary: SocketAddr,
    mirror: SocketAddr,
) -> (Gateway, Client) {
    let rule = format!("- route:\n  - destination: {{host: blue.example}}\n  {fields}\n");
    let manifests = join(&[
        shop::manifests(&rule),
        service_entry("blue", "blue.example", 80, &[primary]),
        service_entry("green", "green.example", 80, &[mirror]),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

const TO_GREEN: &str = "mirror: {host: green.example}";

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    within(what, reached).await;
}

async fn mirrored(gateway: &Gateway, result: &str) -> usize {
    let label = format!("result=\"{result}\"");
    let text = metrics(gateway).await;
    sample(&text, "portcullis_upstream_mirrored_total", &[&label]) as usize
}

#[tokio::test]
async fn a_copy_is_the_request_with_another_host() {
    let (blue, green) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::None).await);
    let fields = format!("headers: {{request: {{set: {{x-set: by-rule}}}}}}\n  {TO_GREEN}");
    let (gateway, mut client) = with_mirror(&fields, &blue, &green).await;
    let call = Call::post(HOST, "/a?b=c", "whole").header("x-own", "1");
    let reply = client.call(call).await;
    assert_eq!((reply.status.as_u16(), reply.json()["path"].as_str()), (200, Some("/a?b=c")));
    until("the copy", async || green.requests() == 1).await;
    until("its end", async || mirrored(&gateway, "answered").await == 1).await;
    let head = green.heads().remove(0);
    assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
    for field in ["host: shop.example-shadow\r\n", "x-set: by-rule\r\n", "content-length: 5\r\n"] {
        assert!(head.contains(field), "{field:?} in {head}");
    }
    assert!(blue.heads()[0].contains("host: shop.example\r\n"));
    assert_eq!((blue.requests(), green.requests()), (1, 1));
}

#[tokio::test]
async fn what_becomes_of_a_copy_is_nothing_to_the_request() {
    for fault in
        [Fault::Stall, Fault::StallInBody, Fault::Reset, Fault::Status(500), Fault::HugeHead]
    {
        let (blue, green) =
            (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(fault).await);
        let (mut gateway, mut client) = with_mirror(TO_GREEN, &blue, &green).await;
        for nth in 0..5 {
            let call = Call::post(HOST, &format!("/{nth}"), "whole");
            assert_eq!(client.call(call).await.status, 200, "{fault:?}");
            assert!(gateway.access_line().await.contains(" 200 - via_upstream"), "{fault:?}");
        }
        until("the copies", async || green.requests() == 5).await;
        // Never sent again, and no line of its own in the log.
        assert_eq!(blue.requests(), 5, "{fault:?}");
        assert!(green.executed().values().all(|times| *times == 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_is_not_there_costs_nothing() {
    let (blue, green) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::None).await);
    let address = green.address;
    let (gateway, mut client) = with_mirror(TO_GREEN, &blue, &green).await;
    drop(green);
    until("nobody listens", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert_eq!(client.call(Call::post(HOST, "/a", "whole")).await.status, 200);
    until("its end", async || mirrored(&gateway, "failed").await == 1).await;
}

#[tokio::test]
async fn a_mirror_that_does_not_keep_up_is_cut_off() {
    // It reads nothing, so that soon nothing more is taken from us.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let blue = FaultyUpstream::always(Fault::None).await;
    let mirror = silent.local_addr().unwrap();
    let (gateway, mut client) = with_mirror_at(TO_GREEN, blue.address, mirror).await;
    let call = Call::post(HOST, "/a", TestBody::repeated(64 << 20));
    assert_eq!(client.call(call).await.status, 200);
    until("its end", async || mirrored(&gateway, "overrun").await == 1).await;
    assert_eq!(blue.requests(), 1);
}

#[tokio::test]
async fn a_share_of_the_requests_is_copied() {
    let (blue, green) =
        (FaultyUpstream::always(Fault::None).await, FaultyUpstream::always(Fault::None).await);
    let fields = "mirrors: [{destination: {host: green.example}, percentage: {value: 50}}, \
                  {destination: {host: green.example}, percentage: {value: 0}}]";
    let (gateway, mut client) = with_mirror(fields, &blue, &green).await;
    for _ in 0..200 {
        client.get(HOST, "/a").await;
    }
    let counted = async || mirrored(&gateway, "answered").await == green.requests();
    until("their ends", counted).await;
    assert!((60..140).contains(&green.requests()), "{}", green.requests());
}
