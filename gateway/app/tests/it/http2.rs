//! HTTP/2 downstream: by prior knowledge and over TLS, many streams at once, trailers.

use portcullis_testkit::manifests::{
    gateway, http_server, https_server, join, tls_secret, virtual_service,
};
use portcullis_testkit::{Call, Certificates, Client, Tls, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE, backends};

#[tokio::test]
async fn h2c_is_spoken_by_prior_knowledge() {
    let mut shop = Shop::open(TO_BLUE).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let reply = client.call(Call::post(HOST, "/a?b=c", "hello").header("x-mine", "1")).await;
    let echo = reply.json();
    assert_eq!(reply.version, http::Version::HTTP_2);
    assert_eq!((&echo["path"], &echo["body"]), (&"/a?b=c".into(), &"hello".into()));
    assert_eq!((&echo["headers"]["host"], &echo["headers"]["x-mine"]), (&HOST.into(), &"1".into()));
    assert_eq!(echo["version"], "HTTP/1.1");
    let line = shop.gateway.access_line().await;
    assert!(line.contains("\"POST /a?b=c HTTP/2\" 200 - via_upstream "), "{line}");
}

#[tokio::test]
async fn h2_is_spoken_over_tls() {
    let (blue, certificates) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let servers = [http_server("http", 80, &["*"]), https_server("https", 443, &["*"], "shop")];
    let gateway = Gateway::start(&join(&[
        gateway("shop", &servers),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        backends(&blue, &blue),
        tls_secret("shop", &certificates),
    ]))
    .await;
    let tls = Tls::new(HOST, &certificates).http2();
    let mut client = Client::tls(gateway.address("https"), &tls).await.unwrap();
    let reply = client.call(Call::post(HOST, "/", "hello")).await;
    assert_eq!(reply.version, http::Version::HTTP_2);
    assert_eq!(reply.json()["body"], "hello");
    assert_eq!(reply.json()["headers"]["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn a_cookie_in_pieces_is_one_field_upstream() {
    let shop = Shop::open(TO_BLUE).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let pieces = ["a=1", "b=2; c=3", "d=4"];
    let call = pieces.iter().fold(Call::get(HOST, "/"), |call, piece| call.header("cookie", piece));
    let echo = client.call(call).await.json();
    assert_eq!(echo["headers"]["cookie"], "a=1; b=2; c=3; d=4");
    let echo = client.call(Call::get(HOST, "/").header("cookie", "a=1")).await.json();
    assert_eq!(echo["headers"]["cookie"], "a=1");
}

#[tokio::test]
async fn streams_go_on_side_by_side() {
    let shop = Shop::open(TO_BLUE).await;
    let client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = client.another_stream();
            tokio::spawn(async move { stream.get(HOST, "/slow").await })
        })
        .collect();
    shop.blue.until(|seen| seen.held == 50).await;
    let mut stream = client.another_stream();
    assert_eq!(stream.get(HOST, "/quick").await.status, 200);
    shop.blue.release();
    for reply in slow {
        assert_eq!(reply.await.unwrap().text(), "released");
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let mut shop = Shop::open(TO_BLUE).await;
    let mut h2 = Client::h2c(shop.gateway.address("http")).await.unwrap();
    for client in [&mut h2, &mut shop.client] {
        let sent = client.call(Call::post(HOST, "/", "hello").trailer("x-sum", "7")).await;
        assert_eq!(sent.json()["trailers"]["x-sum"], "7");
        assert_eq!(sent.json()["body"], "hello");
        let reply = client.call(Call::get(HOST, "/trailers").accept_trailers()).await;
        assert_eq!(reply.text(), "with trailers");
        assert_eq!(reply.trailers.unwrap()["x-checksum"], "42");
    }
}

#[tokio::test]
async fn a_stream_that_is_given_up_leaves_the_others_alone() {
    let shop = Shop::open(TO_BLUE).await;
    let client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let mut stream = client.another_stream();
    let given_up = tokio::spawn(async move { stream.get(HOST, "/slow").await });
    shop.blue.until(|seen| seen.held == 1).await;
    given_up.abort();
    shop.blue.until(|seen| seen.held == 0).await;
    assert_eq!(client.another_stream().get(HOST, "/").await.status, 200);
}
