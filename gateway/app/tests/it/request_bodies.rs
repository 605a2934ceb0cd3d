//! Request bodies that are larger than allowed: 413, as soon as that is known.

use bytes::Bytes;
use portcullis_testkit::manifests::{edge_policy, join};
use portcullis_testkit::{Call, Client, RawConnection, TestBody};

use crate::deadlines::shop_with;
use crate::shop::{HOST, Shop, TO_BLUE};

/// Ten bytes are allowed.
async fn shop() -> Shop {
    shop_with("limits: {requestBody: 10}").await
}

/// The reply to a raw POST, up to the end of the connection.
async fn post(shop: &Shop, fields: &str, body: &str) -> String {
    let request = format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n{body}");
    RawConnection::exchange(shop.gateway.address("http"), request).await
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_at_once() {
    let mut shop = shop().await;
    let reply = post(&shop, "content-length: 1000000\r\n", "").await;
    assert!(reply.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{reply}");
    assert!(reply.contains("connection: close\r\n"), "{reply}");
    let line = shop.gateway.access_line_with("/sink").await;
    assert!(line.contains(" 413 - request_payload_too_large "), "{line}");
    assert_eq!(shop.blue.seen().requests, 0);
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn whoever_asks_first_is_not_told_to_go_on() {
    let shop = shop().await;
    let reply = post(&shop, "content-length: 11\r\nexpect: 100-continue\r\n", "").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn a_body_without_a_length_is_counted() {
    let mut shop = shop().await;
    let chunks = "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n";
    let request = format!(
        "POST /sink HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
    );
    let mut client = RawConnection::connect(shop.gateway.address("http")).await.unwrap();
    client.send(request).await.unwrap();
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let line = shop.gateway.access_line_with("/sink").await;
    assert!(line.contains(" 413 - request_payload_too_large "), "{line}");
    // What the upstream has of it never became a request.
    shop.blue.until(|seen| seen.open == 0).await;
    assert!(shop.blue.seen().uploaded <= 10);
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn an_upload_is_cut_off_where_it_becomes_too_large() {
    let mut shop = shop().await;
    for mut client in [
        Client::http1(shop.gateway.address("http")).await.unwrap(),
        Client::h2c(shop.gateway.address("http")).await.unwrap(),
    ] {
        let before = shop.blue.seen().uploaded;
        let (writer, body) = TestBody::written();
        writer.send(Ok(Bytes::from_static(b"0123456789"))).await.unwrap();
        let call = Call::post(HOST, "/sink", body);
        let sending = tokio::spawn(async move { client.open(call).await.map(|r| r.status()) });
        shop.blue.until(|seen| seen.uploaded == before + 10).await;
        writer.send(Ok(Bytes::from_static(b"!"))).await.unwrap();
        assert_eq!(sending.await.unwrap().unwrap(), 413);
        shop.blue.until(|seen| seen.open == 0).await;
        drop(writer);
    }
    assert_eq!(shop.get("/neighbour").await.status, 200);
}

#[tokio::test]
async fn over_http2_the_connection_goes_on() {
    let shop = shop().await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    assert_eq!(client.call(Call::post(HOST, "/sink", "0123456789!")).await.status, 413);
    assert_eq!(client.call(Call::post(HOST, "/sink", "0123456789")).await.status, 200);
}

#[tokio::test]
async fn a_rule_may_allow_more() {
    let mut shop = shop().await;
    let wide = "{targetRefs: [{kind: VirtualService, name: shop}], limits: {requestBody: off}}";
    let policies = [edge_policy("edge", "{limits: {requestBody: 10}}"), edge_policy("wide", wide)];
    let manifests = join(&[shop.manifests(TO_BLUE), join(&policies)]);
    shop.gateway.apply(&manifests).await;
    let reply = shop.client.call(Call::post(HOST, "/sink", TestBody::repeated(1 << 20))).await;
    assert_eq!(reply.json()["body_length"], 1 << 20);
}

#[tokio::test]
async fn a_rule_that_answers_by_itself_takes_no_more_either() {
    let mut shop = shop().await;
    let policy = edge_policy("edge", "{limits: {requestBody: 10}}");
    let rules = "- directResponse: {status: 204}\n";
    let manifests = join(&[shop.manifests(rules), policy]);
    shop.gateway.apply(&manifests).await;
    for (body, status) in [("0123456789", 204), ("0123456789!", 413)] {
        let reply = shop.client.call(Call::post(HOST, "/", body)).await;
        assert_eq!(reply.status, status, "{body}");
    }
}
