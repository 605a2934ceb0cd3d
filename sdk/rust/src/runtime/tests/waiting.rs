//! Filters that wait: for services, the time, each other; and whose clients leave meanwhile.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::mock::{Answer, GrpcAnswer, Host, Outcome, Plugin};
use crate::prelude::*;

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Does what the request's path says.
struct Doer {
    shared: Cached<Rc<str>>,
    beats: Counter,
    dropped: Rc<Cell<u32>>,
}

thread_local! {
    static DROPPED: Rc<Cell<u32>> = Rc::default();
}

struct OnDrop(Rc<Cell<u32>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[filter]
impl Filter for Doer {
    type State = Vec<u8>;
    type Configuration = NoConfiguration;

    fn new(_: NoConfiguration, setup: &mut Setup) -> Result<Self, ConfigurationError> {
        let shared = Cached::new(millis(1000)).stale_while_error(millis(5000));
        Ok(Doer { shared, beats: setup.counter("beats")?, dropped: DROPPED.with(Rc::clone) })
    }

    async fn request(&self, request: &mut Request, state: &mut Vec<u8>) -> Result<Flow, Error> {
        let _dropped = OnDrop(self.dropped.clone());
        state.push(b'1');
        let path = request.path().unwrap_or_default().into_owned();
        let told = match path.as_str() {
            "/call" => {
                match http("users").get("/who").header("x-key", "k").timeout(millis(50)).await {
                    Ok(reply) if reply.status() == 200 => reply.text().into_owned(),
                    Ok(reply) => return Ok(Reply::new(reply.status()).into()),
                    Err(error) => format!("{error:?}"),
                }
            }
            "/join" => {
                let (one, two) = join(http("users").get("/1"), http("others").get("/2")).await;
                format!("{} {}", one?.text(), two?.text())
            }
            "/all" => {
                let replies = join_all((0..3).map(|n| http("users").get(&format!("/{n}")))).await;
                replies.iter().flatten().map(|reply| reply.text().into_owned()).collect()
            }
            "/select" => match select(http("users").get("/"), http("others").get("/")).await {
                Either::Left(reply) | Either::Right(reply) => reply?.text().into_owned(),
            },
            "/timeout" => match timeout(millis(30), http("users").get("/")).await {
                Ok(reply) => reply?.text().into_owned(),
                Err(elapsed) => elapsed.to_string(),
            },
            "/cached" => {
                let fetch =
                    async || Ok::<_, Error>(Rc::from(&*http("users").get("/").await?.text()));
                self.shared.get(fetch).await?.to_string()
            }
            "/grpc" => {
                let answer = grpc("users").unary("a.B", "C", "hi").metadata("x-m", "1").await;
                answer.map_or_else(
                    |error| error.to_string(),
                    |m| String::from_utf8_lossy(&m).into_owned(),
                )
            }
            "/stream" => {
                let mut stream = grpc("users").stream("a.B", "S", &[])?;
                stream.send(b"one")?;
                let mut heard = String::new();
                while let Some(message) = stream.next().await? {
                    heard.push_str(&String::from_utf8_lossy(&message));
                }
                heard
            }
            _ => "nothing".to_owned(),
        };
        state.push(b'2');
        request.headers_mut().set("x-told", told)?;
        Ok(Flow::Continue)
    }

    async fn response(&self, response: &mut Response, state: &mut Vec<u8>) -> Result<Flow, Error> {
        response.headers_mut().set("x-state", &state)?;
        Ok(Flow::Continue)
    }

    fn log(&self, _: &Record, state: &mut Vec<u8>) -> Result<(), Error> {
        crate::property::set("state", state)?;
        Ok(())
    }

    async fn background(&self) -> Result<(), Error> {
        loop {
            self.beats.increment();
            if self.beats.value()? == 3 {
                return Err(Error::new("tired"));
            }
            sleep(millis(100)).await;
        }
    }
}

fn start() -> Plugin<Doer> {
    Host::new();
    DROPPED.with(|dropped| dropped.set(0));
    Plugin::start("").unwrap()
}

fn told(plugin: &Plugin<Doer>, path: &str) -> String {
    let exchange = plugin.request([(":path", path)]).send();
    Host.advance(millis(60));
    assert_eq!(exchange.outcome(), Outcome::Continued);
    exchange.request_header("x-told").concat()
}

#[test]
fn a_request_waits_for_an_answer() {
    let plugin = start();
    Host.answer("users", |call| {
        assert_eq!((call.method(), call.path(), call.header("x-key")), ("GET", "/who", Some("k")));
        assert_eq!((call.header(":authority"), call.timeout()), (Some("users"), Some(millis(50))));
        Answer::new(200).body("ann").after(millis(10))
    });
    let exchange = plugin.request([(":path", "/call")]).body("x").send();
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    assert!(exchange.upstream_request().is_none());
    Host.advance(millis(10));
    assert_eq!(exchange.outcome(), Outcome::Continued);
    let upstream = exchange.upstream_request().unwrap();
    assert_eq!((upstream.header("x-told"), upstream.text().as_str()), (Some("ann"), "x"));
    exchange.respond([]).send();
    assert_eq!(exchange.response_header("x-state"), ["12"]);
}

#[test]
fn calls_end_in_every_way() {
    let plugin = start();
    assert!(told(&plugin, "/call").starts_with("Refused(HostError"));
    Host.answer("users", |_| Answer::reset().after(millis(10)));
    assert_eq!(told(&plugin, "/call"), "Failed");
    Host.answer("users", |_| Answer::silence());
    assert_eq!(told(&plugin, "/call"), "TimedOut");
    Host.answer("users", |_| Answer::new(403).after(millis(10)));
    let exchange = plugin.request([(":path", "/call")]).send();
    Host.advance(millis(10));
    assert_eq!(exchange.outcome().reply().status(), 403);
    assert_eq!(exchange.response_header("x-state"), ["1"]);
}

#[test]
fn several_are_awaited_at_once() {
    let plugin = start();
    Host.answer("users", |call| Answer::new(200).body(call.path()).after(millis(20)));
    Host.answer("others", |_| Answer::new(200).body("other").after(millis(10)));
    assert_eq!(told(&plugin, "/join"), "/1 other");
    assert_eq!(told(&plugin, "/all"), "/0/1/2");
    assert_eq!(told(&plugin, "/select"), "other");
    assert_eq!(told(&plugin, "/timeout"), "/");
    Host.answer("users", |_| Answer::silence());
    assert_eq!(told(&plugin, "/timeout"), "it took too long");
}

#[test]
fn whoever_leaves_is_forgotten() {
    let plugin = start();
    Host.answer("users", |_| Answer::new(200).body("late").after(millis(10)));
    let exchange = plugin.request([(":path", "/call")]).send();
    assert_eq!(exchange.outcome(), Outcome::Waiting);
    assert_eq!(DROPPED.with(|dropped| dropped.get()), 0);
    drop(exchange);
    assert_eq!(DROPPED.with(|dropped| dropped.get()), 1);
    assert_eq!(Host.property("state").as_deref(), Some("1"));
    Host.advance(millis(20));
    assert_eq!(told(&plugin, "/call"), "late");
}

#[test]
fn many_share_what_one_fetches() {
    let plugin = start();
    Host.answer("users", |_| Answer::new(200).body("key").after(millis(10)));
    let waiting: Vec<_> = (0..5).map(|_| plugin.request([(":path", "/cached")]).send()).collect();
    assert!(waiting.iter().all(|exchange| exchange.outcome() == Outcome::Waiting));
    Host.advance(millis(10));
    for exchange in &waiting {
        assert_eq!(exchange.request_header("x-told"), ["key"]);
    }
    assert_eq!(Host.calls().len(), 1);
    drop(waiting);
    assert_eq!(told(&plugin, "/cached"), "key");
    assert_eq!(Host.calls().len(), 1);
    Host.advance(millis(1000));
    assert_eq!(told(&plugin, "/cached"), "key");
    assert_eq!(Host.calls().len(), 2);
}

#[test]
fn another_goes_on_when_the_one_who_fetches_leaves() {
    let plugin = start();
    Host.answer("users", |_| Answer::new(200).body("key").after(millis(10)));
    let first = plugin.request([(":path", "/cached")]).send();
    let second = plugin.request([(":path", "/cached")]).send();
    drop(first);
    Host.advance(millis(10));
    assert_eq!(second.request_header("x-told"), ["key"]);
    assert_eq!(Host.calls().len(), 2);
}

#[test]
fn an_old_value_serves_while_there_is_no_new_one() {
    let plugin = start();
    Host.answer("users", |_| Answer::new(200).body("old"));
    assert_eq!(told(&plugin, "/cached"), "old");
    Host.advance(millis(2000));
    Host.answer("users", |_| Answer::reset());
    assert_eq!(told(&plugin, "/cached"), "old");
    assert_eq!(told(&plugin, "/cached"), "old");
    assert_eq!(Host.calls().len(), 2, "it is not asked for at every request");
    Host.advance(millis(6000));
    let waiting: Vec<_> = (0..3).map(|_| plugin.request([(":path", "/cached")]).send()).collect();
    Host.advance(millis(10));
    assert_eq!(
        waiting[0].outcome(),
        Outcome::Trapped("request failed: the call failed".to_owned())
    );
}

#[test]
fn grpc_is_spoken() {
    let plugin = start();
    Host.answer_grpc("users", |call| {
        assert_eq!((call.service(), call.method()), ("a.B", "C"));
        assert_eq!((call.message(), call.metadata("x-m")), (&b"hi"[..], Some("1")));
        GrpcAnswer::message("hello").after(millis(10))
    });
    assert_eq!(told(&plugin, "/grpc"), "hello");
    Host.answer_grpc("users", |_| GrpcAnswer::failure(7, "no"));
    assert_eq!(told(&plugin, "/grpc"), "the call ended with gRPC status 7: no");
    Host.answer_grpc("users", |call| {
        assert_eq!(call.message(), b"one");
        GrpcAnswer::message("1").then("2").close(0, "").after(millis(10))
    });
    assert_eq!(told(&plugin, "/stream"), "12");
}

#[test]
fn the_background_runs_by_ticks_and_begins_anew_after_an_error() {
    let _plugin = start();
    let beats = || Host.metrics().read("beats").unwrap();
    assert_eq!(beats(), 0);
    Host.advance(millis(1));
    assert_eq!(beats(), 1);
    Host.advance(millis(100));
    assert_eq!(beats(), 2);
    Host.advance(millis(100));
    assert_eq!(beats(), 3);
    assert!(Host.log().iter().any(|(_, line)| line == "background failed: tired"));
    Host.advance(millis(4999));
    assert_eq!(beats(), 3);
    Host.advance(millis(1));
    assert_eq!(beats(), 4);
}
