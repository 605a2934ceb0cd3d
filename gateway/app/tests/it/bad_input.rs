//! What is wrong is told so that it can be mended, at start and at reload, and costs nothing else: the last
//! good version serves on, everything else is applied, no request fails.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_testkit::manifests::{
    gateway, http_gateway, http_server, https_server, join, service_entry, tls_secret,
    tls_secret_of, virtual_service,
};
use portcullis_testkit::{Certificates, Client, Tls, Upstream};
use tokio::task::JoinHandle;

use crate::gateway::Gateway;

/// The host that the subject of a test is about.
const HOST: &str = "subject.example";
/// The host of what has nothing to do with it.
const OTHER: &str = "other.example";

/// A VirtualService that answers with a word.
fn saying(name: &str, host: &str, word: &str) -> String {
    let rules = format!("- directResponse: {{status: 200, body: {{string: {word}}}}}\n");
    virtual_service(name, "shop", &[host], &rules)
}

/// The configuration with a subject at its beginning. The rest changes with the word.
fn around(subject: &str, word: &str) -> String {
    let rest = [http_gateway("shop", 80, &["*"]), saying("other", OTHER, word)];
    join(&[subject.to_owned(), join(&rest)])
}

/// Checks that one line of the log has all of these parts.
pub fn told(gateway: &Gateway, parts: &[&str]) {
    let tells = |line: &&String| parts.iter().all(|part| line.contains(part));
    assert!(
        gateway.log.iter().any(|line| tells(&line)),
        "{parts:#?}\nin\n{}",
        gateway.log.join("\n")
    );
}

/// Starts with a bad subject: it is told, and the rest is served.
async fn start_with(bad: &str, parts: &[&str]) -> (Gateway, Client) {
    let gateway = Gateway::start(&around(bad, "one")).await;
    told(&gateway, parts);
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(OTHER, "/").await.text(), "one");
    (gateway, client)
}

/// Starts with a good subject and makes it bad: it is told, the rest is applied, no request fails.
async fn reload_with(good: &str, bad: &str, parts: &[&str]) -> (Gateway, Client) {
    let mut gateway = Gateway::start(&around(good, "one")).await;
    let traffic = Traffic::start(&gateway, &[HOST, OTHER]).await;
    gateway.apply(&around(bad, "two")).await;
    told(&gateway, parts);
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(OTHER, "/").await.text(), "two");
    traffic.stop().await;
    (gateway, client)
}

/// Requests without a pause, each of which has to be answered with 200.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Traffic {
    pub async fn start(gateway: &Gateway, hosts: &[&'static str]) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, hosts) = (stop.clone(), hosts.to_vec());
        let mut client = Client::http1(gateway.address("http")).await.unwrap();
        let task = tokio::spawn(async move {
            let mut requests = 0;
            while !stopping.load(Ordering::Relaxed) {
                for host in &hosts {
                    assert_eq!(client.get(host, "/").await.status, 200, "{host}");
                    requests += 1;
                }
            }
            requests
        });
        Traffic { stop, task }
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.task.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn broken_yaml() {
    let good = saying("subject", HOST, "good");
    let bad = good.replace("[\"subject.example\"]", "[\"subject.example\"");
    let parts = ["error[PC0102]", "all.yaml:8:7", "not valid YAML", "correct the document"];
    let (_gateway, mut client) = start_with(&bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.status, 404);
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn a_file_that_unfolds_without_end() {
    let good = saying("subject", HOST, "good");
    let mut bomb = "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let again = vec![format!("*x{}", level - 1); 8].join(", ");
        bomb += &format!("x{level}: &x{level} [{again}]\n");
    }
    let parts = ["error[PC0103]", "all.yaml:"];
    start_with(&bomb, &parts).await;
    let (_gateway, mut client) = reload_with(&good, &join(&[good.clone(), bomb]), &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn an_unknown_kind() {
    let further = saying("further", "further.example", "further");
    let bad = further.replace("kind: VirtualService", "kind: VirtualSurvice");
    let parts = [
        "error[PC0201]",
        "all.yaml:1:1",
        "VirtualSurvice/default/further",
        "did you mean `VirtualService`?",
    ];
    start_with(&bad, &parts).await;
    let good = saying("subject", HOST, "good");
    let (_gateway, mut client) = reload_with(&good, &join(&[bad, good.clone()]), &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn an_unknown_field() {
    let good = saying("subject", HOST, "good");
    let bad = good.replace("- directResponse", "- mtach: []\n    directResponse");
    let parts = [
        "error[PC0206]",
        "all.yaml:9:5",
        "VirtualService/default/subject",
        "spec.http[0].mtach",
        "did you mean `match`?",
    ];
    let (_gateway, mut client) = start_with(&bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.status, 404);
    let parts = [&parts[..], &["last good version serves on"]].concat();
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn a_value_of_the_wrong_type() {
    let good = saying("subject", HOST, "good");
    let bad = good.replace("status: 200", "status: fine");
    let parts = [
        "error[PC0208]",
        "all.yaml:9:",
        "VirtualService/default/subject",
        "spec.http[0].directResponse.status",
    ];
    start_with(&bad, &parts).await;
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn an_object_that_is_written_twice() {
    let good = saying("subject", HOST, "good");
    let bad = join(&[good.clone(), saying("subject", HOST, "second")]);
    let parts = [
        "error[PC0213]",
        "all.yaml:11:1",
        "VirtualService/default/subject",
        "all.yaml:1:1",
        "rename",
    ];
    start_with(&bad, &parts).await;
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn a_host_that_two_services_claim() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let route = virtual_service(
        "subject",
        "shop",
        &[HOST],
        "- route:\n  - destination: {host: app.example}\n",
    );
    let good = join(&[service_entry("one", "app.example", 80, &[blue.address()]), route]);
    let bad = join(&[good.clone(), service_entry("two", "app.example", 80, &[green.address()])]);
    let parts = [
        "warning[PC0313]",
        "ServiceEntry/default/two",
        "spec.hosts[0]",
        "ServiceEntry/default/one",
        "the first serves",
    ];
    let (_gateway, mut client) = start_with(&bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
}

#[tokio::test]
async fn a_rule_behind_one_that_takes_its_requests() {
    let good = saying("subject", HOST, "good");
    let bad = join(&[good.clone(), saying("twin", HOST, "twin")]);
    let parts = [
        "warning[PC0309]",
        "VirtualService/default/twin",
        "spec.http[0]",
        "VirtualService/default/subject",
    ];
    start_with(&bad, &parts).await;
    let (_gateway, mut client) = reload_with(&good, &bad, &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn a_missing_destination() {
    let subject = |host: &str| {
        let rules = format!(
            "- match:\n  - uri: {{prefix: /sub}}\n  route:\n  - destination: {{host: {host}}}\n"
        );
        join(&[virtual_service("subject", "shop", &[HOST], &rules), saying("rest", HOST, "rest")])
    };
    let parts = [
        "PC0304",
        "VirtualService/default/subject",
        "spec.http[0].route[0].destination.host",
        "nowhere.example",
    ];
    start_with(&subject("nowhere.example"), &parts).await;
    let blue = Upstream::start("blue");
    let good = join(&[
        subject("blue.example"),
        service_entry("blue", "blue.example", 80, &[blue.address()]),
    ]);
    let (_gateway, mut client) = reload_with(&good, &subject("nowhere.example"), &parts).await;
    assert_eq!(client.get(HOST, "/sub").await.status, 503);
}

/// A Gateway with a certificate for [`HOST`] on port 443.
fn tls_gateway() -> String {
    gateway("tls", &[https_server("https", 443, &[HOST], "certificate")])
}

/// The certificate that the gateway shows.
async fn shown(gateway: &Gateway, trusted: &Certificates) -> std::io::Result<Vec<u8>> {
    let client = Client::tls(gateway.address("https"), &Tls::new(HOST, trusted)).await?;
    Ok(client.certificate().unwrap().to_vec())
}

/// A Secret that goes bad: handshakes are refused from the start, or go on with the last certificate.
async fn bad_secret(bad: &str, parts: &[&str]) {
    let certificates = Certificates::for_hosts(&[HOST]);
    let with =
        |secret: &str| join(&[tls_gateway(), secret.to_owned(), saying("subject", HOST, "good")]);
    let (gateway, _client) = start_with(&with(bad), parts).await;
    assert!(shown(&gateway, &certificates).await.is_err());
    let good = with(&tls_secret("certificate", &certificates));
    let (gateway, _client) = reload_with(&good, &with(bad), parts).await;
    assert_eq!(shown(&gateway, &certificates).await.unwrap(), certificates.leaf_der);
}

#[tokio::test]
async fn a_missing_secret() {
    let elsewhere = tls_secret("elsewhere", &Certificates::for_hosts(&[HOST]));
    let field = "spec.servers[0].tls.credentialName";
    let parts = [
        "error[PC0301]",
        "all.yaml:10:",
        "Gateway/default/tls",
        field,
        "Secret/default/certificate",
        "write the Secret",
    ];
    bad_secret(&elsewhere, &parts).await;
}

#[tokio::test]
async fn a_key_of_another_certificate() {
    let (one, other) = (Certificates::for_hosts(&[HOST]), Certificates::for_hosts(&[HOST]));
    let mismatched = tls_secret_of("certificate", &one.chain_pem, &other.key_pem);
    let parts = [
        "error[PC0215]",
        "all.yaml:",
        "Secret/default/certificate",
        "stringData[tls.key]",
        "put the key",
    ];
    bad_secret(&mismatched, &parts).await;
}

#[tokio::test]
async fn two_protocols_on_one_port() {
    let certificates = Certificates::for_hosts(&[HOST]);
    let good = join(&[tls_secret("certificate", &certificates), saying("subject", HOST, "good")]);
    let second = gateway("subject", &[https_server("https", 80, &[HOST], "certificate")]);
    // A newcomer takes nothing from who served before.
    let parts = [
        "error[PC0308]",
        "Gateway/default/subject",
        "spec.servers[0].port.protocol",
        "Gateway/default/shop",
        "use another port",
    ];
    let (_gateway, mut client) = reload_with(&good, &join(&[second, good.clone()]), &parts).await;
    assert_eq!(client.get(HOST, "/").await.text(), "good");
}

#[tokio::test]
async fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let port_map = format!("80=0,8081={port}");
    let second = gateway("subject", &[http_server("second", 8081, &["*"])]);
    let bad = around(&join(&[second, saying("subject", HOST, "good")]), "two");
    let arguments = ["--port-map", &port_map];
    let address = format!("127.0.0.1:{port}");
    let parts = [
        "error[PC0501]",
        "all.yaml:",
        "Gateway/default/subject",
        "spec.servers[0]",
        &*address,
        "--port-map",
    ];
    let gateway = Gateway::start_with(&bad, &arguments).await;
    told(&gateway, &parts);
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(OTHER, "/").await.text(), "two");
    assert_eq!(gateway.ready()["listeners"].as_array().unwrap().len(), 1);

    let good = around(&saying("subject", HOST, "good"), "one");
    let mut gateway = Gateway::start_with(&good, &arguments).await;
    let traffic = Traffic::start(&gateway, &[HOST, OTHER]).await;
    gateway.apply(&bad).await;
    told(&gateway, &parts);
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(OTHER, "/").await.text(), "two");
    traffic.stop().await;
}
