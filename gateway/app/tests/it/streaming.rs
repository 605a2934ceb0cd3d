//! Bodies pass through as they come, in little memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt;
use portcullis_testkit::{Call, Client, TestBody, within};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

const MEBIBYTES: u64 = 256;
/// A body may not cost more memory than this.
const GROWTH_KIB: u64 = 40 << 10;

/// Looks at the gateway's memory from time to time.
struct Memory<'g> {
    gateway: &'g Gateway,
    before: u64,
    peak: u64,
}

impl<'g> Memory<'g> {
    fn of(gateway: &'g Gateway) -> Self {
        let before = gateway.resident_kib();
        Memory { gateway, before, peak: before }
    }

    fn look(&mut self) {
        self.peak = self.peak.max(self.gateway.resident_kib());
    }

    fn check(mut self) {
        self.look();
        let grown = self.peak - self.before;
        assert!(grown < GROWTH_KIB, "grew by {grown} KiB from {} KiB", self.before);
    }
}

async fn both_protocols(gateway: &Gateway) -> [Client; 2] {
    let address = gateway.address("http");
    [Client::http1(address).await.unwrap(), Client::h2c(address).await.unwrap()]
}

#[tokio::test]
async fn much_comes_down_in_little_memory() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        client.get(HOST, "/stream/1").await;
        let mut memory = Memory::of(&shop.gateway);
        let reply = client.open(Call::get(HOST, &format!("/stream/{MEBIBYTES}"))).await.unwrap();
        let (mut body, mut length, mut looked_at) = (reply.into_body(), 0, 0);
        while let Some(frame) = within("a frame", body.frame()).await {
            length += frame.unwrap().into_data().unwrap().len() as u64;
            if length - looked_at > 4 << 20 {
                looked_at = length;
                memory.look();
            }
        }
        assert_eq!(length, MEBIBYTES << 20);
        memory.check();
    }
}

#[tokio::test]
async fn much_goes_up_in_little_memory() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        client.call(Call::post(HOST, "/sink", "warm")).await;
        let mut memory = Memory::of(&shop.gateway);
        let (writer, body) = TestBody::written();
        let sending =
            tokio::spawn(async move { client.call(Call::post(HOST, "/sink", body)).await });
        let mebibyte = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..MEBIBYTES {
            within("room", writer.send(Ok(mebibyte.clone()))).await.unwrap();
            memory.look();
        }
        drop(writer);
        assert_eq!(sending.await.unwrap().json()["body_length"], MEBIBYTES << 20);
        memory.check();
    }
}

#[tokio::test]
async fn the_head_and_the_first_bytes_do_not_wait_for_the_rest() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        let reply = client.open(Call::get(HOST, "/drip")).await.unwrap();
        let mut body = reply.into_body();
        let first = within("the first bytes", body.frame()).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "first,");
        shop.blue.until(|seen| seen.held == 1).await;
        shop.blue.release();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
    }
}

#[tokio::test]
async fn an_upload_reaches_the_upstream_before_it_ends() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        let before = shop.blue.seen().uploaded;
        let (writer, body) = TestBody::written();
        let sending =
            tokio::spawn(async move { client.call(Call::post(HOST, "/sink", body)).await });
        writer.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
        shop.blue.until(|seen| seen.uploaded == before + 4).await;
        drop(writer);
        assert_eq!(sending.await.unwrap().json()["body_length"], 4);
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_upstream_back() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        client.get(HOST, "/stream/1").await;
        let (memory, before) = (Memory::of(&shop.gateway), shop.blue.seen().streamed);
        let reply = client.open(Call::get(HOST, &format!("/stream/{MEBIBYTES}"))).await.unwrap();
        let mut body = reply.into_body();
        within("a frame", body.frame()).await.unwrap().unwrap();
        // As much passes beside it, so it had its time.
        let mut other = shop.connect().await;
        for _ in 0..MEBIBYTES / 4 {
            assert_eq!(other.get(HOST, "/stream/4").await.body.len(), 4 << 20);
        }
        memory.check();
        let ahead = shop.blue.seen().streamed - before - (MEBIBYTES << 20);
        assert!(ahead < 64 << 20, "{ahead} bytes were read ahead of the client");
        let open = shop.blue.seen().open;
        drop((body, client));
        shop.blue.until(|seen| seen.open < open).await;
    }
}

#[tokio::test]
async fn a_slow_upstream_holds_the_client_back() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        let (writer, body) = TestBody::written();
        let sent = Arc::new(AtomicU64::new(0));
        let counting = sent.clone();
        let waiting =
            tokio::spawn(async move { client.try_call(Call::post(HOST, "/slow", body)).await });
        let sending = tokio::spawn(async move {
            let mebibyte = Bytes::from(vec![0; 1 << 20]);
            while writer.send(Ok(mebibyte.clone())).await.is_ok() {
                counting.fetch_add(1, Ordering::Relaxed);
            }
        });
        shop.blue.until(|seen| seen.held == 1).await;
        let memory = Memory::of(&shop.gateway);
        // As much passes beside it, so it had its time.
        let all = TestBody::repeated(MEBIBYTES << 20);
        let reply = shop.connect().await.call(Call::post(HOST, "/sink", all)).await;
        assert_eq!(reply.json()["body_length"], MEBIBYTES << 20);
        memory.check();
        let ahead = sent.load(Ordering::Relaxed);
        assert!(ahead < 64, "{ahead} MiB were taken that nobody reads");
        shop.blue.release();
        assert_eq!(waiting.await.unwrap().unwrap().text(), "released");
        sending.abort();
    }
}

#[tokio::test]
async fn an_early_reply_ends_an_upload() {
    let shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        let (writer, body) = TestBody::written();
        writer.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
        let reply = client.open(Call::post(HOST, "/early", body)).await.unwrap();
        assert_eq!(reply.status(), 413);
        drop(writer);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_upstream_breaks_off_downstream() {
    let mut shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        assert!(client.try_call(Call::get(HOST, "/break")).await.is_err());
    }
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request_upstream() {
    let mut shop = Shop::open(TO_BLUE).await;
    for mut client in both_protocols(&shop.gateway).await {
        let waiting = tokio::spawn(async move { client.get(HOST, "/slow").await });
        shop.blue.until(|seen| seen.held == 1).await;
        waiting.abort();
        shop.blue.until(|seen| seen.held == 0).await;
        let line = shop.gateway.access_line_with("/slow").await;
        assert!(line.contains(" DC downstream_remote_disconnect "), "{line}");
    }
}
