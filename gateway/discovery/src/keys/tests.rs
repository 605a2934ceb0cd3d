//! Keys from a server on loopback that answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_filters::{KeyUrl, RemoteKeys, RemoteLocation};
use portcullis_telemetry::KeyCounts;
use tokio::runtime::Handle;

use super::watch::{KeySettings, Keys};

const SET: &str = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

/// A server that gives each connection the answer of the moment.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) =
            (Arc::new(Mutex::new(answer.to_owned())), Arc::<AtomicUsize>::default());
        let (said, count) = (answer.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(said.lock().unwrap().as_bytes());
            }
        });
        Server { address, answer, asked }
    }

    fn say(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    fn url(&self, path: &str) -> Box<str> {
        format!("http://{}{path}", self.address).into()
    }
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn keys(url: KeyUrl) -> Arc<RemoteKeys> {
    Arc::new(RemoteKeys::new(RemoteLocation { url, timeout: Duration::from_secs(2) }))
}

fn watcher(allowed: &[&str], news: &Arc<AtomicUsize>) -> Keys {
    let allowed = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let settings = KeySettings { authorities: Vec::new(), allowed };
    let news = news.clone();
    let tell = Arc::new(move || {
        news.fetch_add(1, Ordering::SeqCst);
    });
    Keys::new(settings, Arc::<KeyCounts>::default(), Handle::current(), tell).unwrap()
}

const LOOPBACK: &[&str] = &["127.0.0.0/8"];

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn keys_come_once_for_those_who_follow_them_again() {
    let server = Server::start(&ok(SET));
    let (news, keys) = (Arc::default(), keys(KeyUrl::Keys(server.url("/keys"))));
    let watcher = watcher(LOOPBACK, &news);
    watcher.follow([&keys]);
    watcher.first_answers().await;
    assert!(keys.has_keys() && keys.failure().is_none());
    let asked = server.asked.load(Ordering::SeqCst);
    watcher.follow([&keys]);
    watcher.first_answers().await;
    assert_eq!(server.asked.load(Ordering::SeqCst), asked, "followed already");
    assert_eq!(news.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_fails_is_said_once_and_leaves_the_keys() {
    let server = Server::start(&ok(SET));
    let (news, keys) = (Arc::default(), keys(KeyUrl::Keys(server.url("/keys"))));
    let watcher = watcher(LOOPBACK, &news);
    watcher.follow([&keys]);
    watcher.first_answers().await;
    drop(watcher);
    let watcher = self::watcher(LOOPBACK, &news);
    server.say("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    watcher.follow([&keys]);
    watcher.first_answers().await;
    until(|| news.load(Ordering::SeqCst) == 1).await;
    assert!(keys.has_keys());
    assert!(keys.failure().unwrap().contains("503"));
    server.say(&ok(SET));
    until(|| news.load(Ordering::SeqCst) == 2).await;
    assert!(keys.failure().is_none());
}

#[tokio::test]
async fn bad_answers_are_no_keys() {
    let huge = format!("{{\"keys\":[]{}}}", " ".repeat(1 << 20));
    for (answer, why) in [
        (ok("{}"), "no key set"),
        (ok("<html>"), "no key set"),
        (ok(r#"{"keys":[]}"#), "no key of the set"),
        (
            ok(
                r#"{"keys":[{"kty":"oct","use":"enc","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#,
            ),
            "no key of the set",
        ),
        (ok(&huge), "larger than"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            "redirects are not followed",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(), "404"),
        ("SSH-2.0-x\r\n".to_owned(), ""),
        (String::new(), ""),
    ] {
        let server = Server::start(&answer);
        let keys = keys(KeyUrl::Keys(server.url("/keys")));
        let watcher = watcher(LOOPBACK, &Arc::default());
        watcher.follow([&keys]);
        watcher.first_answers().await;
        assert!(!keys.has_keys());
        let failure = keys.failure().unwrap();
        assert!(failure.contains(why), "{failure} instead of {why}");
    }
}

#[tokio::test]
async fn this_machine_is_not_asked_unless_that_is_allowed() {
    let server = Server::start(&ok(SET));
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let keys = keys(KeyUrl::Keys(format!("http://{host}:{port}/keys").into()));
        let watcher = watcher(&["10.0.0.0/8"], &Arc::default());
        watcher.follow([&keys]);
        watcher.first_answers().await;
        let failure = keys.failure().unwrap();
        assert!(failure.contains("nothing is fetched from this address"), "{failure}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are_and_for_nobody_else() {
    let server = Server::start(&ok(SET));
    let about = |issuer: &str, keys: &str| {
        ok(&format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}","more":1}}"#))
    };
    let documents = Server::start(&about("https://a", &server.url("/keys")));
    let watch = |issuer: &str| {
        let (document, issuer) = (documents.url("/about"), issuer.into());
        let keys = keys(KeyUrl::Discovery { document, issuer });
        let watcher = watcher(LOOPBACK, &Arc::default());
        watcher.follow([&keys]);
        (watcher, keys)
    };
    let (watcher, keys) = watch("https://a");
    watcher.first_answers().await;
    assert!(keys.has_keys(), "{:?}", keys.failure());
    let (watcher, keys) = watch("https://b");
    watcher.first_answers().await;
    assert!(keys.failure().unwrap().contains("another issuer"));
}
