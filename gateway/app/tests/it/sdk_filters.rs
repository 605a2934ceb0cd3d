//! Filters written with the SDK, as modules: they wait, gather bodies and change them piece by piece, here and in a real
//! Envoy alike.

mod place;

use portcullis_testkit::{Call, Reply, TestBody, within};

use crate::guests::guest;
use place::{Module, Place};

/// A GET that tells the filter what to do.
fn doing(task: &str) -> impl Fn(&str) -> Call {
    let task = task.to_owned();
    move |host| Call::get(host, "/").header("x-do", &task)
}

fn told(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["headers"]["x-told"].as_str().unwrap_or("nothing").to_owned()
}

async fn until(what: &str, happened: impl AsyncFn() -> bool) {
    let waiting = async {
        while !happened().await {
            tokio::task::yield_now().await;
        }
    };
    within(what, waiting).await;
}

async fn ask(place: &Place, task: &str) -> String {
    told(&place.call(Module::Waiting, doing(task)).await)
}

async fn requests_wait_for_answers(place: &Place) {
    let call = |path: &'static str| {
        move |host: &str| Call::post(host, "/", "body").header("x-do", "call").header("x-ask", path)
    };
    let reply = place.call(Module::Waiting, call("/status/200")).await;
    assert_eq!((told(&reply).as_str(), reply.header("x-state")), ("green", "done"));
    assert_eq!(reply.json()["body"], "body");
    let reply = place.call(Module::Waiting, call("/status/401")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "denied: 401"));
    assert_eq!(reply.header("x-state"), "not done");
}

async fn several_are_awaited_at_once(place: &Place) {
    assert_eq!(ask(place, "join").await, "201 202");
    assert_eq!(ask(place, "select").await, "204");
    assert_eq!(ask(place, "nowhere").await, "refused");
}

async fn time_is_up(place: &Place) {
    assert_eq!(ask(place, "timeout").await, "it took too long");
    assert_eq!(ask(place, "late").await, "the call took too long");
}

async fn many_share_what_one_fetches(place: &Place) {
    let before = place.green.seen().requests;
    let waiting: Vec<_> = (0..5).map(|_| place.begin(Module::Waiting, doing("cached"))).collect();
    place.green.until(|seen| seen.held == 1).await;
    place.green.release();
    for waiting in waiting {
        assert_eq!(told(&waiting.await.unwrap()), "released");
    }
    assert_eq!(ask(place, "cached").await, "released");
    assert_eq!(place.green.seen().requests - before, 1);
}

async fn who_leaves_while_waiting_is_forgotten(place: &Place) {
    let before: u32 = ask(place, "dropped").await.parse().unwrap();
    let call = |host: &str| Call::get(host, "/").header("x-do", "call").header("x-ask", "/slow");
    let waiting = place.begin(Module::Waiting, call);
    place.green.until(|seen| seen.held == 1).await;
    waiting.abort();
    until("the request's future to be dropped", async || {
        ask(place, "dropped").await == (before + 1).to_string()
    })
    .await;
    place.green.release();
    place.green.until(|seen| seen.held == 0).await;
    requests_wait_for_answers(place).await;
}

async fn whole_bodies_are_replaced(place: &Place) {
    let text = |reply: &Reply| -> serde_json::Value {
        assert_eq!(reply.status, 200, "{reply:?}");
        let text = reply.text().strip_prefix('[').unwrap().strip_suffix(']').unwrap().to_owned();
        serde_json::from_str(&text).unwrap()
    };
    let post = |host: &str| Call::post(host, "/", "hello");
    assert_eq!(text(&place.call(Module::Gathering, post).await)["body"], "HELLO");
    let asking = |host: &str| Call::post(host, "/", "hello").header("x-do", "ask");
    assert_eq!(text(&place.call(Module::Gathering, asking).await)["body"], "HELLOgreen");
    let large = |host: &str| Call::post(host, "/", "x".repeat(60 << 10));
    assert_eq!(text(&place.call(Module::Gathering, large).await)["body"], "X".repeat(60 << 10));
    let too_large = |host: &str| Call::post(host, "/", "x".repeat((64 << 10) + 1));
    assert_eq!(place.call(Module::Gathering, too_large).await.status, 413);
    let none = |host: &str| Call::get(host, "/");
    assert_eq!(text(&place.call(Module::Gathering, none).await)["body"], "");
    let read = |host: &str| Call::get(host, "/status/200").header("x-reply-x-read", "1");
    let reply = place.call(Module::Gathering, read).await;
    assert_eq!((reply.text(), reply.header("content-length")), ("blue", "4"));
}

async fn pieces_are_changed_as_they_stream(place: &Place) {
    for task in ["double", "wait"] {
        let (writer, body) = TestBody::written();
        let mut body = Some(body);
        let waiting = place.begin(Module::Pieces, |host| {
            Call::post(host, "/", body.take().unwrap()).header("x-do", task)
        });
        for piece in ["ab", "c", "def"] {
            writer.send(Ok(bytes::Bytes::from_static(piece.as_bytes()))).await.unwrap();
        }
        drop(writer);
        assert_eq!(waiting.await.unwrap().json()["body"], "aabbccddeeff", "{task}");
    }
    let forbidden = |host: &str| Call::post(host, "/", "forbidden");
    assert_eq!(place.call(Module::Pieces, forbidden).await.status, 422);
    let drip = |host: &str| Call::get(host, "/drip").header("x-reply-x-double", "1");
    let (first, rest) = place.stream(Module::Pieces, drip).await;
    assert_eq!((first.as_str(), rest.as_str()), ("ffiirrsstt,,", "sseeccoonndd"));
}

async fn the_background_keeps_fetching(place: &Place) {
    until("the background to fetch", async || {
        told(&place.call(Module::Beating, doing("beats")).await).parse::<u32>().unwrap() >= 3
    })
    .await;
}

#[tokio::test]
async fn a_request_of_the_sdk_waits_for_an_answer() {
    requests_wait_for_answers(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_joins_and_selects() {
    several_are_awaited_at_once(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_gives_up_in_time() {
    time_is_up(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_fetches_once_for_many() {
    many_share_what_one_fetches(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_drops_what_a_client_that_left_awaited() {
    who_leaves_while_waiting_is_forgotten(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_gathers_and_replaces_bodies() {
    whole_bodies_are_replaced(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_changes_bodies_piece_by_piece() {
    pieces_are_changed_as_they_stream(&Place::gateway().await).await;
}

#[tokio::test]
async fn the_sdk_runs_in_the_background() {
    the_background_keeps_fetching(&Place::gateway().await).await;
}

#[tokio::test]
async fn filters_of_the_sdk_do_the_same_in_envoy() {
    let place = Place::envoy().await;
    requests_wait_for_answers(&place).await;
    many_share_what_one_fetches(&place).await;
    who_leaves_while_waiting_is_forgotten(&place).await;
    whole_bodies_are_replaced(&place).await;
    pieces_are_changed_as_they_stream(&place).await;
    the_background_keeps_fetching(&place).await;
    // Last, since they leave calls behind that nobody waits for.
    several_are_awaited_at_once(&place).await;
    time_is_up(&place).await;
}

#[test]
fn a_module_of_the_sdk_describes_its_configuration() {
    let path = guest("sdk-waiting");
    let module = std::fs::read(path.strip_prefix("file://").unwrap()).unwrap();
    let text = String::from_utf8_lossy(&module);
    assert!(text.contains("portcullis.schema"));
    assert!(
        text.contains(r#""cluster":{"description":"Whom to ask.","allOf":[{"type":"string"}]}"#)
    );
}
