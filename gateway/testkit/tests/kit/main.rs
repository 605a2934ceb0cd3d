//! The testkit against itself: its clients talk to its upstreams.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails should panic where it happens")]

mod tls;

use bytes::Bytes;
use http_body_util::BodyExt;
use portcullis_testkit::{
    Call, Certificates, Client, Directory, RawConnection, RawUpstream, TestBody, Upstream,
    manifests,
};

async fn start() -> (Upstream, Client) {
    let upstream = Upstream::start("blue");
    let client = Client::http1(upstream.address()).await.unwrap();
    (upstream, client)
}

#[tokio::test]
async fn an_echo_tells_the_whole_request() {
    let (upstream, mut client) = start().await;
    let call = Call::post("shop.example", "/a?b=c", "hello")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .header("x-reply-server", "test")
        .trailer("x-sum", "7");
    let reply = client.call(call).await;
    let echo = reply.json();
    assert_eq!((reply.upstream(), reply.header("server")), ("blue", "test"));
    assert_eq!((&echo["method"], &echo["path"]), (&"POST".into(), &"/a?b=c".into()));
    assert_eq!(echo["headers"]["host"], "shop.example");
    assert_eq!(echo["headers"]["x-twice"], serde_json::json!(["1", "2"]));
    assert_eq!((&echo["body"], &echo["body_length"]), (&"hello".into(), &5.into()));
    assert_eq!(echo["trailers"]["x-sum"], "7");
    assert_eq!((upstream.seen().requests, upstream.seen().connections), (1, 1));
}

#[tokio::test]
async fn much_passes_both_ways() {
    let (upstream, mut client) = start().await;
    assert_eq!(client.get("a", "/stream/3").await.body.len(), 3 << 20);
    let reply = client.call(Call::post("a", "/sink", TestBody::repeated(5 << 20))).await;
    assert_eq!(reply.json()["body_length"], 5 << 20);
    assert_eq!(upstream.seen().uploaded, 5 << 20);
}

#[tokio::test]
async fn trailers_come_to_those_who_ask() {
    let (_upstream, mut client) = start().await;
    let reply = client.call(Call::get("a", "/trailers").accept_trailers()).await;
    assert_eq!(reply.trailers.unwrap()["x-checksum"], "42");
    assert!(client.get("a", "/trailers").await.trailers.is_none());
}

#[tokio::test]
async fn held_requests_wait_for_the_test() {
    let (upstream, mut client) = start().await;
    let calling = tokio::spawn(async move { client.get("a", "/slow").await });
    upstream.until(|seen| seen.held == 1).await;
    upstream.release();
    assert_eq!(calling.await.unwrap().text(), "released");

    let mut client = Client::http1(upstream.address()).await.unwrap();
    let mut body = client.open(Call::get("a", "/drip")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first,");
    upstream.until(|seen| seen.held == 1).await;
    upstream.release();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
}

#[tokio::test]
async fn upstreams_misbehave_when_asked() {
    let (upstream, mut client) = start().await;
    assert_eq!(client.get("a", "/status/503").await.status, 503);
    assert!(client.try_call(Call::get("a", "/close")).await.is_err());
    let mut client = Client::http1(upstream.address()).await.unwrap();
    assert!(client.try_call(Call::get("a", "/break")).await.is_err());
    upstream.until(|seen| seen.open == 0).await;
    let (writer, body) = TestBody::written();
    writer.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
    let mut client = Client::http1(upstream.address()).await.unwrap();
    assert_eq!(client.open(Call::post("a", "/early", body)).await.unwrap().status(), 413);
    drop(writer);
    let address = upstream.address();
    upstream.stop();
    assert!(Client::http1(address).await.is_err());
    Upstream::start_on("again", address);
}

#[tokio::test]
async fn raw_bytes_go_both_ways() {
    let (upstream, _client) = start().await;
    let request = "GET /status/204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let reply = RawConnection::exchange(upstream.address(), request).await;
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
    let odd = RawUpstream::start("HTTP/1.1 200 OK\r\n\r\nodd").await;
    assert!(RawConnection::exchange(odd.address, request).await.ends_with("odd"));
}

#[tokio::test]
async fn certificates_are_kept_apart_by_authority() {
    let certificates = Certificates::for_hosts(&["shop.example", "*.shop.example"]);
    assert!(certificates.chain_pem.contains("BEGIN CERTIFICATE"));
    assert!(certificates.key_pem.contains("PRIVATE KEY"));
    assert_ne!(certificates.ca_pem, Certificates::for_hosts(&["shop.example"]).ca_pem);
    let directory = Directory::new();
    directory.write("tls/secret.yaml", manifests::tls_secret("shop", &certificates));
    assert!(directory.read("tls/secret.yaml").contains("  tls.key: |\n    -----BEGIN"));
}
