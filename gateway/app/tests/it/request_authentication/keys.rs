//! Keys that are fetched, from servers that are well, down, slow, huge, rotated, redirecting, or not to be asked.

use std::sync::{Arc, Mutex};

use portcullis_testkit::{
    Authority, Client, HttpsAnswer, HttpsServer, Signer, TOKEN_ISSUER, TokenFault, within,
};
use tempfile::TempDir;

use super::{bearer, claims};
use crate::gateway::{Gateway, directory_with};
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST, TO_BLUE, backends};
use portcullis_testkit::Upstream;
use portcullis_testkit::manifests::{join, request_authentication};

/// A gateway whose keys come from a server that answers as it is told.
struct Fetching {
    gateway: Gateway,
    client: Client,
    server: HttpsServer,
    answer: Arc<Mutex<HttpsAnswer>>,
    blue: Upstream,
    _files: TempDir,
}

const ALLOWED: &[&str] = &["--jwks-allow", "127.0.0.0/8", "--jwks-allow", "::1/128"];

impl Fetching {
    async fn start(answer: HttpsAnswer, arguments: &[&str]) -> Self {
        let authority = Authority::new();
        let own = authority.issue(&["localhost"]);
        let answer = Arc::new(Mutex::new(answer));
        let said = answer.clone();
        let server = HttpsServer::start(&own, move |_| said.lock().unwrap().clone()).await;
        let files = tempfile::tempdir().unwrap();
        let ca = files.path().join("ca.pem");
        std::fs::write(&ca, &own.ca_pem).unwrap();
        let blue = Upstream::start("blue");
        let directory = directory_with(&manifests(&blue, &rule(&server)));
        let mut all = vec!["--workers", "1", "--jwks-ca", ca.to_str().unwrap()];
        all.extend_from_slice(arguments);
        let gateway = Gateway::start_in(directory, &all).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        Fetching { gateway, client, server, answer, blue, _files: files }
    }

    fn say(&self, answer: HttpsAnswer) {
        *self.answer.lock().unwrap() = answer;
    }

    async fn verdict(&mut self, token: &str) -> (u16, String) {
        let reply = self.client.call(bearer(token)).await;
        let text = if reply.status == 200 { "" } else { reply.text() };
        (reply.status.as_u16(), text.to_owned())
    }

    async fn until(&mut self, token: &str, status: u16) {
        let asking = async { while self.verdict(token).await.0 != status {} };
        within("another verdict", asking).await;
    }
}

fn rule(server: &HttpsServer) -> String {
    format!(
        "- issuer: {TOKEN_ISSUER}\n  jwksUri: https://{}/keys\n  timeout: 1s\n",
        server.authority()
    )
}

fn manifests(blue: &Upstream, rules: &str) -> String {
    join(&[shop::manifests(TO_BLUE), backends(blue, blue), request_authentication("tokens", rules)])
}

const GOOD: (u16, String) = (200, String::new());

fn no_keys() -> (u16, String) {
    (401, "Jwks remote fetch is failed".to_owned())
}

#[tokio::test]
async fn keys_are_there_for_the_first_request_and_outlive_reloads() {
    let signer = Signer::ecdsa_p256("one");
    let mut scene = Fetching::start(HttpsAnswer::ok(signer.key_set()), ALLOWED).await;
    let token = signer.token(&claims(""));
    assert_eq!(scene.verdict(&token).await, GOOD);
    assert_eq!(scene.server.seen()[0].path, "/keys");
    scene.say(HttpsAnswer::status(500));
    let more = format!("{}  forwardOriginalToken: true\n", rule(&scene.server));
    let manifests = manifests(&scene.blue, &more);
    scene.gateway.apply(&manifests).await;
    assert_eq!(scene.verdict(&token).await, GOOD);
    assert_eq!(scene.server.seen().len(), 1, "a reload asks for nothing that is known");
    let metrics = metrics(&scene.gateway).await;
    assert_eq!(sample(&metrics, "portcullis_jwks_fetches_total", &["\"new\""]), 1.0);
    assert_eq!(sample(&metrics, "portcullis_jwks_sources", &[]), 1.0);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::ecdsa_p256("old"), Signer::ecdsa_p256("new"));
    let mut scene = Fetching::start(HttpsAnswer::ok(old.key_set()), ALLOWED).await;
    let (before, after) = (old.token(&claims("")), new.token(&claims("")));
    assert_eq!(scene.verdict(&before).await, GOOD);
    scene.say(HttpsAnswer::ok(new.key_set()));
    assert_eq!(scene.verdict(&after).await, (401, TokenFault::NoKey.said().to_owned()));
    scene.until(&after, 200).await;
    // The old key is gone, with what was known of its tokens.
    assert_eq!(scene.verdict(&before).await.0, 401);
}

#[tokio::test]
async fn what_fails_leaves_the_keys_that_there_are_and_is_said() {
    let signer = Signer::ecdsa_p256("one");
    let mut scene = Fetching::start(HttpsAnswer::ok(signer.key_set()), ALLOWED).await;
    let token = signer.token(&claims(""));
    assert_eq!(scene.verdict(&token).await, GOOD);
    scene.say(HttpsAnswer::ok("<html>").header("cache-control", "no-store"));
    // It is asked again because a token names a key that is not there.
    let stranger = Signer::ecdsa_p256("two").token(&claims(""));
    assert_eq!(scene.verdict(&stranger).await.0, 401);
    let line = scene.gateway.wait_for_log("PC0351").await;
    assert!(line.contains("those fetched before serve on"), "{line}");
    assert_eq!(scene.verdict(&token).await, GOOD);
    let metrics = metrics(&scene.gateway).await;
    assert!(sample(&metrics, "portcullis_jwks_fetches_total", &["\"malformed\""]) >= 1.0);
}

#[tokio::test]
async fn without_keys_tokens_are_refused_and_other_requests_pass() {
    let signer = Signer::ecdsa_p256("one");
    let token = signer.token(&claims(""));
    let huge = format!("{{\"keys\":[]{}}}", " ".repeat(2 << 20));
    for (answer, why) in [
        (HttpsAnswer::status(503), "answers 503"),
        (HttpsAnswer::silent(), "no answer in time"),
        (HttpsAnswer::ok(huge), "larger than"),
        (HttpsAnswer::ok(signer.key_set()).claiming(1 << 19), "https://localhost"),
        (HttpsAnswer::redirect("https://localhost/other"), "redirects are not followed"),
        (HttpsAnswer::ok("{\"keys\":[]}"), "no key of the set verifies tokens"),
    ] {
        let mut scene = Fetching::start(answer, ALLOWED).await;
        let line = scene.gateway.logged("keys for tokens could not be fetched").await;
        assert!(line.contains(why), "{line}");
        assert_eq!(scene.verdict(&token).await, no_keys(), "{why}");
        assert_eq!(scene.client.get(HOST, "/").await.status, 200);
        // It is tried again, and once there are keys all is well.
        scene.say(HttpsAnswer::ok(signer.key_set()));
        scene.until(&token, 200).await;
    }
}

#[tokio::test]
async fn this_machine_is_not_asked_unless_that_is_allowed() {
    let signer = Signer::ecdsa_p256("one");
    let mut scene = Fetching::start(HttpsAnswer::ok(signer.key_set()), &[]).await;
    let line = scene.gateway.logged("PC0351").await;
    assert!(line.contains("nothing is fetched from this address"), "{line}");
    assert_eq!(scene.verdict(&signer.token(&claims(""))).await, no_keys());
    assert_eq!(scene.server.seen(), []);
}

#[tokio::test]
async fn a_server_of_keys_is_verified() {
    let signer = Signer::ecdsa_p256("one");
    let other = Authority::new().issue(&["localhost"]);
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, &other.ca_pem).unwrap();
    let scene = Fetching::start(HttpsAnswer::ok(signer.key_set()), ALLOWED).await;
    let manifests = manifests(&scene.blue, &rule(&scene.server));
    let arguments = ["--jwks-ca", ca.to_str().unwrap(), "--jwks-allow", "127.0.0.0/8,::1/128"];
    let mut gateway = Gateway::start_with(&manifests, &arguments).await;
    let line = gateway.logged("keys for tokens could not be fetched").await;
    assert!(line.contains("TLS"), "{line}");
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.call(bearer(&signer.token(&claims("")))).await.status, 401);
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are() {
    let signer = Signer::ecdsa_p256("one");
    let own = Authority::new().issue(&["localhost"]);
    let about: Arc<Mutex<String>> = Arc::default();
    let (said, keys) = (about.clone(), signer.key_set());
    let server = HttpsServer::start(&own, move |request| match &*request.path {
        "/.well-known/openid-configuration" => HttpsAnswer::ok(said.lock().unwrap().clone()),
        "/keys" => HttpsAnswer::ok(keys.clone()),
        _ => HttpsAnswer::status(404),
    })
    .await;
    let issuer = format!("https://{}", server.authority());
    *about.lock().unwrap() = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{issuer}/keys"}}"#);
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, &own.ca_pem).unwrap();
    let blue = Upstream::start("blue");
    let manifests = manifests(&blue, &format!("- issuer: {issuer}\n"));
    let arguments = ["--jwks-ca", ca.to_str().unwrap(), "--jwks-allow", "127.0.0.0/8,::1/128"];
    let gateway = Gateway::start_with(&manifests, &arguments).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let token = signer.token(&claims("").replace(TOKEN_ISSUER, &issuer));
    assert_eq!(client.call(bearer(&token)).await.status, 200);
    assert_eq!(client.call(bearer(&signer.token(&claims("")))).await.status, 401);
}
