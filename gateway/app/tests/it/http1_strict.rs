//! What two readers of HTTP/1 could understand differently is refused, byte for byte: each class of request
//! smuggling, its status, and whether the connection lives on. Nobody else is disturbed.

use portcullis_testkit::{Client, RawConnection};

use crate::shop::{HOST, Shop, TO_BLUE};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Closed,
    Kept,
}

/// A gateway, with a neighbour on a connection of its own.
struct Street {
    shop: Shop,
    neighbour: Client,
}

impl Street {
    async fn open() -> Street {
        let shop = Shop::open(TO_BLUE).await;
        let neighbour = shop.connect().await;
        Street { shop, neighbour }
    }

    /// Sends bytes on a connection of their own: the status that answers them, and what becomes of it.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> (u16, Fate) {
        let mut connection =
            RawConnection::connect(self.shop.gateway.address("http")).await.unwrap();
        // A refusal may come before the last byte is taken.
        let _refused = connection.send(bytes).await;
        let head = connection.read_head().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let fate = if head.contains("connection: close\r\n") {
            let rest = connection.read_to_close().await;
            assert!(!rest.windows(5).any(|five| five == b"HTTP/"), "a second reply");
            Fate::Closed
        } else {
            self.use_again(&mut connection, &head).await;
            Fate::Kept
        };
        assert_eq!(self.neighbour.get(HOST, "/").await.status, 200);
        (status.unwrap_or(0), fate)
    }

    async fn use_again(&self, connection: &mut RawConnection, head: &str) {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        connection.read_exactly(length.unwrap().parse().unwrap()).await.unwrap();
        connection.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
        assert!(connection.read_head().await.starts_with("HTTP/1.1 200 "));
    }

    /// Bytes that never become a request: so many requests of the neighbour's reach the upstream, and no other.
    async fn refuses(&mut self, status: u16, bytes: impl AsRef<[u8]>) {
        let before = self.shop.blue.seen().requests;
        let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]);
        let shown = shown.into_owned();
        assert_eq!(self.send(bytes).await, (status, Fate::Closed), "{shown:?}");
        assert_eq!(self.shop.blue.seen().requests, before + 1, "{shown:?} reached the upstream");
    }

    async fn keeps(&mut self, status: u16, bytes: impl AsRef<[u8]>) {
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        assert_eq!(self.send(bytes).await, (status, Fate::Kept), "{shown:?}");
    }
}

/// A POST with these fields and this body.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: shop.example\r\n{fields}\r\n{body}")
}

/// A chunked POST.
fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked\r\n", body)
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let mut street = Street::open().await;
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    let both = "content-length: 6\r\ntransfer-encoding: chunked\r\n";
    let turned = "transfer-encoding: chunked\r\ncontent-length: 6\r\n";
    street.refuses(400, post(both, smuggled)).await;
    street.refuses(400, post(turned, smuggled)).await;
    street.refuses(400, post("content-length: 5\r\ncontent-length: 5\r\n", "hello")).await;
    street.refuses(400, post("content-length: 5\r\ncontent-length: 0\r\n", "hello")).await;
}

#[tokio::test]
async fn a_length_is_plain_digits() {
    let mut street = Street::open().await;
    for length in ["+5", "-5", "0005", "00", "5 5", "5,5", "0x5", "5a", "", "18446744073709551616"]
    {
        street.refuses(400, post(&format!("content-length: {length}\r\n"), "hello")).await;
    }
    street.keeps(200, post("content-length:   5  \r\n", "hello")).await;
}

#[tokio::test]
async fn an_encoding_is_chunked_alone() {
    let mut street = Street::open().await;
    for encoding in [
        "gzip, chunked",
        "identity, chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "\"chunked\"",
    ] {
        let fields = format!("transfer-encoding: {encoding}\r\n");
        street.refuses(400, post(&fields, "0\r\n\r\n")).await;
    }
    let twice = "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n";
    street.refuses(400, post(twice, "0\r\n\r\n")).await;
    let old =
        "POST / HTTP/1.0\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    street.refuses(400, old).await;
    street.keeps(200, post("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n")).await;
}

#[tokio::test]
async fn lines_and_fields_have_one_reading() {
    let mut street = Street::open().await;
    for head in [
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx-a: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n host: shop.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\nx-a: b\r\n\r\n",
        "GET / HTTP/1.1\nhost: shop.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\n\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx-a: b\rx-b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : shop.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding\t: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx-a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx-a: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx\u{e9}: b\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        "GET / HTTP/1.1 \r\nhost: shop.example\r\n\r\n",
        "GET /#fragment HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: shop.example\r\n\r\n",
    ] {
        street.refuses(400, head).await;
    }
}

#[tokio::test]
async fn only_two_versions_are_spoken() {
    let mut street = Street::open().await;
    street.refuses(400, "GET /\r\n\r\n").await;
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3"] {
        let head = format!("GET / {version}\r\nhost: shop.example\r\n\r\n");
        street.refuses(505, head).await;
    }
    street.refuses(400, "GET / http/1.1\r\nhost: shop.example\r\n\r\n").await;
}

#[tokio::test]
async fn hosts_are_one() {
    let mut street = Street::open().await;
    street.refuses(400, "GET / HTTP/1.1\r\n\r\n").await;
    let twice = "GET / HTTP/1.1\r\nhost: shop.example\r\nhost: shop.example\r\n\r\n";
    street.refuses(400, twice).await;
    street.keeps(200, "GET http://shop.example/a HTTP/1.1\r\nhost: other.example\r\n\r\n").await;
    street.keeps(404, "GET http://other.example/a HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
    let tunnel = "CONNECT shop.example:80 HTTP/1.1\r\nhost: shop.example\r\n\r\n\
                  GET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    street.refuses(405, tunnel).await;
}

#[tokio::test]
async fn large_heads_are_refused() {
    let mut street = Street::open().await;
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{fields}\r\n");
    street.refuses(431, head(&"x-a: b\r\n".repeat(100))).await;
    street.keeps(200, head(&"x-a: b\r\n".repeat(60))).await;
    street.refuses(431, head(&format!("x-a: {}\r\n", "x".repeat(17 << 10)))).await;
    let field = format!("x-a: {}\r\n", "x".repeat(10 << 10));
    street.refuses(431, head(&field.repeat(7))).await;
    let line = format!("GET /{} HTTP/1.1\r\nhost: shop.example\r\n\r\n", "x".repeat(17 << 10));
    street.refuses(414, line).await;
    // Without an end in sight.
    street.refuses(414, "x".repeat(17 << 10)).await;
    street.refuses(431, head(&field.repeat(7)).trim_end()).await;
}

#[tokio::test]
async fn chunks_have_one_reading() {
    let mut street = Street::open().await;
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
        "5\r\nhello\r\n0\r\nx-a : b\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-a: b\n\r\n",
    ] {
        assert_eq!(street.send(chunked(body)).await, (400, Fate::Closed), "{body:?}");
    }
    street.keeps(200, chunked("5;name=\"value\"\r\nhello\r\n0\r\n\r\n")).await;
    street.keeps(200, chunked("005\r\nhello\r\n0\r\nx-a: b\r\n\r\n")).await;
}

/// A size that no one can send holds nothing but its own connection.
#[tokio::test]
async fn a_huge_chunk_is_only_a_promise() {
    let mut street = Street::open().await;
    let mut connection = RawConnection::connect(street.shop.gateway.address("http")).await.unwrap();
    let head = "POST /sink HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.send(format!("{head}ffffffffffffffff\r\nhello")).await.unwrap();
    street.shop.blue.until(|seen| seen.uploaded == 5).await;
    assert_eq!(street.neighbour.get(HOST, "/").await.status, 200);
    drop(connection);
    street.shop.gateway.access_line_with("/sink").await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let street = Street::open().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut requests = get("/a") + &post("content-length: 5\r\n", "hello");
    requests += &(chunked("5\r\nhello\r\n0\r\n\r\n") + "\r\n" + &get("/status/404"));
    // What follows a refused head is not looked at.
    requests += &(get("/b") + "GET / HTTP/1.1\r\nhost : x\r\n\r\n" + &get("/smuggled"));
    let replies = RawConnection::exchange(street.shop.gateway.address("http"), requests).await;
    let statuses: Vec<&str> =
        replies.match_indices("HTTP/1.1 ").map(|(at, _)| &replies[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "200", "404", "200", "400"], "{replies}");
    assert_eq!(street.shop.blue.seen().requests, 5);
}

#[tokio::test]
async fn expectations_are_known_or_refused() {
    let mut street = Street::open().await;
    street.refuses(417, post("expect: 200-ok\r\ncontent-length: 5\r\n", "hello")).await;
    // The body is there already: nobody needs to be told to go on.
    street.keeps(200, post("expect: 100-continue\r\ncontent-length: 5\r\n", "hello")).await;
    let mut connection = RawConnection::connect(street.shop.gateway.address("http")).await.unwrap();
    let head = "POST /status/404 HTTP/1.1\r\nhost: other.example\r\nexpect: 100-continue\r\n\
                content-length: 5\r\n\r\n";
    connection.send(head).await.unwrap();
    // Nobody wants the body, so it is not asked for, and what would follow is not known.
    let reply = connection.read_head().await;
    assert!(reply.starts_with("HTTP/1.1 404 ") && reply.contains("connection: close"), "{reply}");
    assert_eq!(connection.read_to_close().await, b"");
}

#[tokio::test]
async fn a_refused_head_is_logged() {
    let mut street = Street::open().await;
    street.refuses(400, post("content-length: +5\r\n", "hello")).await;
    let line = street.shop.gateway.access_line_with("content_length_invalid").await;
    assert!(line.contains(" 400 DPE "), "{line}");
}
