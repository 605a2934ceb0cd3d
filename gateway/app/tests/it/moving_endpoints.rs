//! Endpoints that come and go under load: pods that are rolled, a service that is scaled, a name that moves.

use std::net::SocketAddr;

use portcullis_testkit::manifests::join;
use portcullis_testkit::{DnsAnswer, DnsServer, Upstream};

use crate::gateway::Gateway;
use crate::load::Load;
use crate::shop;

const CONNECTIONS: usize = 100;
const TO_WEB: &str = "- route:\n  - destination: {host: web, port: {number: 80}}\n";

/// What Kubernetes says of a pod.
#[derive(Clone, Copy)]
enum Pod {
    Ready,
    /// It is told to end, and serves until it does.
    Ending,
}

/// A Service whose pods stand each in a slice of its own, since each has another port.
fn service(pods: &[(SocketAddr, Pod)]) -> String {
    let slice = |(nth, (address, pod)): (usize, &(SocketAddr, Pod))| {
        let (port, conditions) = (
            address.port(),
            match pod {
                Pod::Ready => "ready: true, serving: true, terminating: false",
                Pod::Ending => "ready: false, serving: true, terminating: true",
            },
        );
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: web-{nth}, labels: {{kubernetes.io/service-name: web}}}}\n\
             addressType: IPv4\nports: [{{name: http, port: {port}, protocol: TCP}}]\nendpoints:\n\
             - {{addresses: [{}], conditions: {{{conditions}}}}}\n",
            address.ip()
        )
    };
    let mut documents = vec![
        shop::manifests(TO_WEB),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
         spec: {ports: [{name: http, port: 80}]}\n"
            .to_owned(),
    ];
    documents.extend(pods.iter().enumerate().map(slice));
    join(&documents)
}

fn ready(pods: &[Upstream]) -> String {
    service(&pods.iter().map(|pod| (pod.address(), Pod::Ready)).collect::<Vec<_>>())
}

/// Each pod in turn: its successor is ready, it is told to end, its slice goes, and then it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_are_rolled_lose_no_request() {
    let mut pods: Vec<_> = (0..3).map(|nth| Upstream::start(&format!("old-{nth}"))).collect();
    let mut gateway = Gateway::start(&ready(&pods)).await;
    let load = Load::begin(gateway.address("http"), CONNECTIONS).await;
    let mut executed = 0;
    for nth in 0..6 {
        load.until_answered(CONNECTIONS * 2).await;
        let old = pods.remove(0);
        pods.push(Upstream::start(&format!("new-{nth}")));
        let mut both: Vec<_> = pods.iter().map(|pod| (pod.address(), Pod::Ready)).collect();
        both.push((old.address(), Pod::Ending));
        gateway.apply(&service(&both)).await;
        load.until_answered(CONNECTIONS * 2).await;
        gateway.apply(&ready(&pods)).await;
        executed += old.until(|seen| seen.open == 0).await.requests;
        old.stop();
    }
    let answered = load.end().await;
    executed += pods.iter().map(|pod| pod.seen().requests).sum::<usize>();
    assert_eq!(executed, answered, "each request was executed once");
}

/// One endpoint, fifty, three: all of the new ones get their share, those that leave finish what they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_scaled_loses_no_request() {
    let mut pods: Vec<_> = (0..50).map(|nth| Upstream::start(&format!("pod-{nth}"))).collect();
    let mut gateway = Gateway::start(&ready(&pods[..1])).await;
    let load = Load::begin(gateway.address("http"), CONNECTIONS).await;
    load.until_answered(CONNECTIONS).await;
    gateway.apply(&ready(&pods)).await;
    for pod in &pods {
        pod.until(|seen| seen.requests > 0).await;
    }
    let leaving = pods.split_off(3);
    gateway.apply(&ready(&pods)).await;
    let mut executed = 0;
    for pod in leaving {
        executed += pod.until(|seen| seen.open == 0).await.requests;
        pod.stop();
    }
    load.until_answered(CONNECTIONS).await;
    let answered = load.end().await;
    executed += pods.iter().map(|pod| pod.seen().requests).sum::<usize>();
    assert_eq!(executed, answered, "each request was executed once");
}

/// Fault 11.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_moves_loses_no_request() {
    const NAME: &str = "web.dns.test";
    let (first, dns) = (Upstream::start("first"), DnsServer::start());
    let port = first.address().port();
    let second = loop {
        let other = SocketAddr::from(([127, 0, 0, 2], port));
        // Somebody else may have that one for a moment.
        if std::net::TcpListener::bind(other).is_ok() {
            break Upstream::start_on("second", other);
        }
    };
    dns.answer(NAME, DnsAnswer::addresses(1, &["127.0.0.1"]));
    let manifests = join(&[
        shop::manifests("- route:\n  - destination: {host: web.example}\n"),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web}}\nspec:\n  \
             hosts: [web.example]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
             resolution: DNS\n  endpoints: [{{address: {NAME}, ports: {{http: {port}}}}}]\n"
        ),
    ]);
    let server = dns.address.to_string();
    let gateway = Gateway::start_with(&manifests, &["--dns-server", &server]).await;
    let load = Load::begin(gateway.address("http"), CONNECTIONS).await;
    for (address, here, gone) in [
        ("127.0.0.2", &second, &first),
        ("127.0.0.1", &first, &second),
        ("127.0.0.2", &second, &first),
    ] {
        load.until_answered(CONNECTIONS).await;
        let before = here.seen().requests;
        dns.answer(NAME, DnsAnswer::addresses(1, &[address]));
        here.until(|seen| seen.requests > before).await;
        gone.until(|seen| seen.open == 0).await;
        // A server that fails changes nothing.
        dns.answer(NAME, DnsAnswer::ServerFailure);
        dns.asked_again(NAME, 2).await;
    }
    let answered = load.end().await;
    let executed = first.seen().requests + second.seen().requests;
    assert_eq!(executed, answered, "each request was executed once");
}
