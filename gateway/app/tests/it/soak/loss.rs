//! A network that loses one packet in twenty: everything arrives, and nothing arrives wrong.

use portcullis_testkit::{Call, Client};
use tokio::task::JoinSet;

use crate::shop::{HOST, Shop, TO_BLUE};

const CLIENTS: usize = 20;
const REQUESTS: usize = 20;

/// `.ci/soak` runs it in a network namespace whose loopback drops packets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: needs a network namespace, see .ci/soak"]
async fn soak_lossy_network_gives_no_wrong_byte() {
    let shop = Shop::open(TO_BLUE).await;
    let address = shop.gateway.address("http");
    let mut asking = JoinSet::new();
    for client in 0..CLIENTS {
        asking.spawn(async move {
            let mut connection = match client % 2 {
                0 => Client::http1(address).await.unwrap(),
                _ => Client::h2c(address).await.unwrap(),
            };
            for turn in 0..REQUESTS {
                let body = format!("{client}/{turn},").repeat(20_000);
                let reply = connection.call(Call::post(HOST, "/", body.clone())).await;
                assert_eq!(reply.status, 200, "{client}/{turn}");
                assert!(reply.json()["body"] == body, "{client}/{turn}: another body came back");
            }
        });
    }
    asking.join_all().await;
    assert_eq!(shop.blue.seen().requests, CLIENTS * REQUESTS, "each was executed once");
}
