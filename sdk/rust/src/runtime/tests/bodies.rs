//! Bodies: gathered, in pieces, too long, held while something else is awaited; trailers.

use std::time::Duration;

use crate::mock::{Answer, Host, Outcome, Plugin};
use crate::prelude::*;

/// Puts both bodies between brackets; a body `ask` waits for a service first.
#[derive(Default)]
struct Brackets;

#[filter]
impl Filter for Brackets {
    type RequestBody = Buffered<64>;
    type ResponseBody = Buffered<64>;

    async fn request(
        &self,
        request: &mut Request<Buffered<64>>,
        _: &mut (),
    ) -> Result<Flow, Error> {
        request.headers_mut().set("x-seen", "1")?;
        let body = request.body().await?;
        let asks = body == b"ask";
        *body = [b"<", body.as_slice(), b">"].concat();
        if asks {
            let reply = http("users").get("/").await?;
            request.body().await?.extend_from_slice(reply.body());
        }
        if let Some(trailers) = request.trailers() {
            trailers.set("x-sum", "7")?;
        }
        Ok(Flow::Continue)
    }

    async fn response(
        &self,
        response: &mut Response<Buffered<64>>,
        _: &mut (),
    ) -> Result<Flow, Error> {
        if response.headers().first("x-read").is_some() {
            let length = response.read_body().await?.len();
            crate::info!("{length} bytes");
            return Ok(Flow::Continue);
        }
        if response.is_bodiless() {
            return Ok(Flow::Continue);
        }
        let body = response.body().await?;
        *body = [b"[", body.as_slice(), b"]"].concat();
        Ok(Flow::Continue)
    }
}

fn brackets() -> Plugin<Brackets> {
    Host::new();
    Plugin::start("").unwrap()
}

#[test]
fn bodies_are_gathered_and_replaced() {
    let plugin = brackets();
    let exchange = plugin
        .request([("content-length", "4")])
        .body("ab")
        .body("cd")
        .trailer("x-sum", "1")
        .send();
    let upstream = exchange.upstream_request().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.is_complete()), ("<abcd>", true));
    assert_eq!(upstream.header("x-seen"), Some("1"));
    assert_eq!(upstream.header("content-length"), None);
    assert_eq!(upstream.trailer("x-sum"), Some("7"));
    exchange.respond([("content-length", "2")]).body("ok").send();
    let response = exchange.downstream_response().unwrap();
    assert_eq!((response.text().as_str(), response.header("content-length")), ("[ok]", None));
    exchange.finish();
}

#[test]
fn a_body_that_is_only_read_keeps_its_length() {
    let plugin = brackets();
    let exchange = plugin.request([]).body("x").send();
    exchange.respond([("content-length", "2"), ("x-read", "1")]).body("ok").send();
    let response = exchange.downstream_response().unwrap();
    assert_eq!((response.text().as_str(), response.header("content-length")), ("ok", Some("2")));
    assert!(Host.log().iter().any(|(_, line)| line == "2 bytes"));
}

#[test]
fn a_gathered_body_is_held_while_a_service_is_asked() {
    let plugin = brackets();
    Host.answer("users", |_| Answer::new(200).body("!").after(Duration::from_millis(5)));
    let exchange = plugin.request([]).body("ask").send();
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    assert_eq!(exchange.upstream_request().unwrap().text(), "");
    Host.advance(Duration::from_millis(5));
    assert_eq!(exchange.upstream_request().unwrap().text(), "<ask>!");
}

#[test]
fn too_long_a_request_is_refused_before_its_end() {
    let plugin = brackets();
    let exchange = plugin.request([]).body("x".repeat(40)).open();
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    exchange.chunk("x".repeat(25));
    assert_eq!(exchange.outcome().reply().status(), 413);
}

#[test]
fn without_a_body_none_can_be_given() {
    let plugin = brackets();
    let exchange = plugin.request([]).send();
    let line = "request failed: a message without a body cannot get one";
    assert_eq!(exchange.outcome(), Outcome::Trapped(line.to_owned()));
}

/// Doubles every piece of requests, waits before `slow` ones, takes `gone` away, and stops looking after `last`.
#[derive(Default)]
struct Doubling;

#[filter]
impl Filter for Doubling {
    type RequestBody = Chunks;

    async fn request(&self, request: &mut Request<Chunks>, _: &mut ()) -> Result<Flow, Error> {
        while let Some(mut chunk) = request.next_chunk().await? {
            match chunk.bytes() {
                b"gone" => chunk.replace("")?,
                b"last" => return Ok(Flow::Continue),
                b"bad" => return Err(Reply::new(422).into()),
                b"slow" => {
                    sleep(Duration::from_millis(20)).await;
                    chunk.replace("SLOW")?;
                }
                bytes => {
                    let doubled = bytes.repeat(2);
                    chunk.replace(doubled)?;
                }
            }
        }
        if !request.is_bodiless() && request.headers_mut().set("x-late", "1").is_ok() {
            return Err(Error::new("a head that has gone on was changed"));
        }
        assert_eq!(request.path().as_deref(), Some("/pieces"));
        Ok(Flow::Continue)
    }
}

fn pieces(pieces: &[&'static str]) -> String {
    Host::new();
    let plugin = Plugin::<Doubling>::start("").unwrap();
    let request = plugin.request([(":path", "/pieces")]);
    let exchange = pieces.iter().fold(request, |request, piece| request.body(*piece)).send();
    Host.advance(Duration::from_millis(50));
    assert_eq!(exchange.outcome(), Outcome::Continued);
    exchange.upstream_request().unwrap().text()
}

#[test]
fn pieces_are_changed_as_they_come() {
    assert_eq!(pieces(&["a", "b"]), "aabb");
    assert_eq!(pieces(&["a", "gone", "b"]), "aabb");
    assert_eq!(pieces(&["a", "last", "b"]), "aalastb");
    assert_eq!(pieces(&[]), "");
}

#[test]
fn what_comes_while_a_piece_is_held_waits_behind_it() {
    assert_eq!(pieces(&["slow", "a"]), "SLOWaa");
    assert_eq!(pieces(&["a", "slow"]), "aaSLOW");
}

#[test]
fn pieces_stream_on() {
    Host::new();
    let plugin = Plugin::<Doubling>::start("").unwrap();
    let exchange = plugin.request([(":path", "/pieces")]).body("a").open();
    assert_eq!(exchange.upstream_request().unwrap().text(), "aa");
    exchange.chunk("b");
    assert_eq!(exchange.upstream_request().unwrap().text(), "aabb");
    exchange.chunk("slow");
    exchange.chunk("c");
    assert_eq!(exchange.upstream_request().unwrap().text(), "aabb");
    Host.advance(Duration::from_millis(20));
    assert_eq!(exchange.upstream_request().unwrap().text(), "aabbSLOWcc");
    exchange.end();
    assert!(exchange.upstream_request().unwrap().is_complete());
}

#[test]
fn a_piece_can_be_answered() {
    Host::new();
    let plugin = Plugin::<Doubling>::start("").unwrap();
    let exchange = plugin.request([(":path", "/pieces")]).body("bad").send();
    assert_eq!(exchange.outcome().reply().status(), 422);
}
