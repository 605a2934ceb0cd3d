//! Endpoints that are names: looked up, changed and lost while requests go on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portcullis_testkit::manifests::{http_gateway, join, virtual_service};
use portcullis_testkit::{Client, DnsAnswer, DnsServer, Reply, Upstream, within};

use crate::gateway::Gateway;
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST, TO_BLUE};

const NAME: &str = "blue.dns.test";

/// Upstreams on the same port of two addresses, which is how a name leads to several.
fn two_upstreams() -> (Upstream, Upstream) {
    loop {
        let blue = Upstream::start("blue");
        let other = SocketAddr::from(([127, 0, 0, 2], blue.address().port()));
        // Somebody else may have that one.
        if std::net::TcpListener::bind(other).is_ok() {
            return (blue, Upstream::start_on("green", other));
        }
    }
}

/// A service at a name, on a port.
fn entry(resolution: &str, name: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: blue}}\nspec:\n  \
         hosts: [blue.example]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         resolution: {resolution}\n  endpoints: [{{address: {name}, ports: {{http: {port}}}}}]\n"
    )
}

fn manifests(resolution: &str, port: u16) -> String {
    join(&[shop::manifests(TO_BLUE), entry(resolution, NAME, port)])
}

async fn start(dns: &DnsServer, manifests: &str) -> (Gateway, Client) {
    let server = dns.address.to_string();
    let arguments = ["--port-map", "80=0", "--dns-server", &server];
    let gateway = Gateway::start_with(manifests, &arguments).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

async fn get(client: &mut Client) -> Reply {
    client.get(HOST, "/").await
}

/// Who answered.
fn name_of(reply: &Reply) -> &str {
    reply.headers.get("x-upstream").map_or("nobody", |name| name.to_str().unwrap())
}

/// Asks until this one answers.
async fn until_from(client: &mut Client, name: &str) {
    let asking = async { while name_of(&get(client).await) != name {} };
    within("an answer from another upstream", asking).await;
}

/// The cluster's endpoints as the admin port shows them.
async fn endpoints(gateway: &Gateway) -> usize {
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let clusters = admin.get("localhost", "/clusters").await.json();
    let clusters = clusters["clusters"].as_array().unwrap();
    let of_blue = |cluster: &&serde_json::Value| cluster["name"] == "outbound|80||blue.example";
    clusters.iter().find(of_blue).unwrap()["endpoints"].as_array().unwrap().len()
}

#[tokio::test]
async fn every_address_of_a_name_serves() {
    let ((blue, green), dns) = (two_upstreams(), DnsServer::start());
    dns.answer(NAME, DnsAnswer::addresses(60, &["127.0.0.1", "127.0.0.2"]));
    let (mut gateway, mut client) = start(&dns, &manifests("DNS", blue.address().port())).await;
    until_from(&mut client, "blue").await;
    until_from(&mut client, "green").await;
    gateway.access_line_with(&format!("\"{}\"", blue.address())).await;
    gateway.access_line_with(&format!("\"{}\"", green.address())).await;
    let metrics = metrics(&gateway).await;
    assert_eq!(sample(&metrics, "portcullis_dns_names", &[]), 1.0);
    assert_eq!(sample(&metrics, "portcullis_dns_lookups_total", &["\"answer\""]), 1.0);
}

#[tokio::test]
async fn ipv6_addresses_serve_too() {
    let dns = DnsServer::start();
    let blue = Upstream::start_on("blue", "[::1]:0".parse().unwrap());
    dns.answer(NAME, DnsAnswer::addresses(60, &["::1"]));
    let (_gateway, mut client) = start(&dns, &manifests("DNS", blue.address().port())).await;
    assert_eq!(name_of(&get(&mut client).await), "blue");
}

/// Fault 11: an address that changes is followed; a server that dies changes nothing.
#[tokio::test]
async fn a_new_address_is_followed_and_a_server_that_fails_changes_nothing() {
    let ((blue, green), dns) = (two_upstreams(), DnsServer::start());
    dns.answer(NAME, DnsAnswer::addresses(1, &["127.0.0.1"]));
    let (mut gateway, mut client) = start(&dns, &manifests("DNS", blue.address().port())).await;
    assert_eq!(name_of(&get(&mut client).await), "blue");
    dns.answer(NAME, DnsAnswer::addresses(1, &["127.0.0.2"]));
    until_from(&mut client, "green").await;
    // The connections to the address that left go too.
    blue.until(|seen| seen.open == 0).await;
    let bad = [DnsAnswer::NoSuchName, DnsAnswer::ServerFailure, DnsAnswer::addresses(1, &[])];
    for (bad, told) in bad.into_iter().zip(["NXDOMAIN", "SERVFAIL", "no address"]) {
        dns.answer(NAME, bad);
        let line = gateway.wait_for_log(told).await;
        assert!(line.contains("kept=1") && line.contains(NAME), "{line}");
        assert_eq!(name_of(&get(&mut client).await), "green");
    }
    let scraped = metrics(&gateway).await;
    assert_eq!(sample(&scraped, "portcullis_dns_names_failing", &[]), 1.0);
    // A configuration that comes meanwhile knows what was known.
    dns.answer(NAME, DnsAnswer::Silence);
    let rules = format!("{TO_BLUE}  timeout: 60s\n");
    let changed = join(&[shop::manifests(&rules), entry("DNS", NAME, blue.address().port())]);
    gateway.apply(&changed).await;
    assert_eq!(name_of(&get(&mut client).await), "green");
    drop(green);
}

#[tokio::test]
async fn one_logical_endpoint_goes_where_the_newest_answer_begins() {
    let ((blue, _green), dns) = (two_upstreams(), DnsServer::start());
    dns.answer(NAME, DnsAnswer::addresses(1, &["127.0.0.1", "127.0.0.2"]));
    let port = blue.address().port();
    let (gateway, mut client) = start(&dns, &manifests("DNS_ROUND_ROBIN", port)).await;
    for _ in 0..20 {
        assert_eq!(name_of(&get(&mut client).await), "blue");
    }
    assert_eq!(endpoints(&gateway).await, 1);
    dns.answer(NAME, DnsAnswer::addresses(1, &["127.0.0.2", "127.0.0.1"]));
    dns.asked_again(NAME, 4).await;
    // What is connected stays connected; what is new goes to the new address.
    assert_eq!(name_of(&get(&mut client).await), "blue");
    blue.disconnect().await;
    until_from(&mut client, "green").await;
}

/// Happy eyeballs: the record names the address that took the connection, and not the one that comes first.
#[tokio::test]
async fn of_several_addresses_the_record_names_the_one_that_serves() {
    let dns = DnsServer::start();
    let green = Upstream::start_on("green", "127.0.0.2:0".parse().unwrap());
    let port = green.address().port();
    // Nobody listens at the first.
    dns.answer(NAME, DnsAnswer::addresses(60, &["127.0.0.3", "127.0.0.2"]));
    let (mut gateway, mut client) = start(&dns, &manifests("DNS_ROUND_ROBIN", port)).await;
    let reply = get(&mut client).await;
    assert_eq!(name_of(&reply), "green");
    assert_eq!(reply.header("x-portcullis-upstream"), green.address().to_string());
    gateway.access_line_with(&format!("\"{}\"", green.address())).await;
}

#[tokio::test]
async fn a_name_without_an_answer_is_503_until_it_has_one() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    dns.answer(NAME, DnsAnswer::Silence);
    // It becomes ready all the same.
    let (mut gateway, mut client) = start(&dns, &manifests("DNS", blue.address().port())).await;
    assert_eq!(get(&mut client).await.status, 503);
    gateway.access_line_with(" 503 UH no_healthy_upstream").await;
    dns.answer(NAME, DnsAnswer::addresses(60, &["127.0.0.1"]));
    until_from(&mut client, "blue").await;
}

#[tokio::test]
async fn what_lies_is_not_believed() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    let addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    dns.answer(NAME, DnsAnswer::AnotherName { addresses });
    let (mut gateway, mut client) = start(&dns, &manifests("DNS", blue.address().port())).await;
    assert_eq!(get(&mut client).await.status, 503);
    gateway.logged("name not looked up").await;
    dns.answer(NAME, DnsAnswer::addresses(60, &["0.0.0.0", "224.0.0.1", "255.255.255.255"]));
    gateway.wait_for_log("nobody can listen").await;
    assert_eq!(get(&mut client).await.status, 503);
    assert_eq!(blue.seen().requests, 0);
}

#[tokio::test]
async fn of_a_thousand_addresses_256_are_used_and_the_log_says_so() {
    let dns = DnsServer::start();
    let addresses = (0..1000_u32).map(|nth| Ipv4Addr::from(0x7f01_0000 + nth).into()).collect();
    dns.answer(NAME, DnsAnswer::Addresses { ttl: 60, addresses });
    let (mut gateway, _client) = start(&dns, &manifests("DNS", 9)).await;
    let line = gateway.logged("more addresses").await;
    assert!(line.contains("offered=1000") && line.contains("used=256"), "{line}");
    assert_eq!(endpoints(&gateway).await, 256);
}

#[tokio::test]
async fn an_external_name_is_looked_up() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    dns.answer(NAME, DnsAnswer::addresses(60, &["127.0.0.1"]));
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: blue}}\nspec:\n  type: ExternalName\n  \
         externalName: {NAME}\n  ports: [{{port: {}, name: http}}]\n",
        blue.address().port()
    );
    let rules = "- route:\n  - destination: {host: blue.default.svc.cluster.local}\n";
    let (_gateway, mut client) = start(&dns, &join(&[shop::manifests(rules), service])).await;
    assert_eq!(name_of(&get(&mut client).await), "blue");
}

#[tokio::test]
async fn a_name_that_nobody_needs_any_more_is_not_asked_for() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    let other = "green.dns.test";
    for name in [NAME, other] {
        dns.answer(name, DnsAnswer::addresses(1, &["127.0.0.1"]));
    }
    let port = blue.address().port();
    let (mut gateway, _client) = start(&dns, &manifests("DNS", port)).await;
    dns.asked_again(NAME, 2).await;
    gateway.apply(&join(&[shop::manifests(TO_BLUE), entry("DNS", other, port)])).await;
    let asked = dns.asked(NAME);
    dns.asked_again(other, 6).await;
    assert_eq!(dns.asked(NAME), asked);
    assert_eq!(sample(&metrics(&gateway).await, "portcullis_dns_names", &[]), 1.0);
}

/// A service whose requests' own hosts are looked up, and a gateway that may be led to loopback.
async fn start_dynamic(dns: &DnsServer, port: u16, allowed: &[&str]) -> (Gateway, Client) {
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: dynamic}}\nspec:\n  \
         hosts: [\"*.dyn.test\"]\n  ports: [{{number: {port}, name: http, protocol: HTTP}}]\n  \
         resolution: DYNAMIC_DNS\n"
    );
    let rules = "- route:\n  - destination: {host: \"*.dyn.test\"}\n";
    let manifests = join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], rules),
        entry,
    ]);
    let server = dns.address.to_string();
    let arguments = [&["--port-map", "80=0", "--dns-server", &server], allowed].concat();
    let gateway = Gateway::start_with(&manifests, &arguments).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

#[tokio::test]
async fn the_requests_own_host_is_looked_up_where_that_is_asked_for() {
    let ((blue, _green), dns) = (two_upstreams(), DnsServer::start());
    dns.answer("blue.dyn.test", DnsAnswer::addresses(60, &["127.0.0.1"]));
    dns.answer("green.dyn.test", DnsAnswer::addresses(60, &["127.0.0.2"]));
    let allowed = ["--dynamic-dns-allow", "127.0.0.0/8"];
    let (mut gateway, mut client) = start_dynamic(&dns, blue.address().port(), &allowed).await;
    for name in ["blue", "green", "blue"] {
        let reply = client.get(&format!("{name}.dyn.test"), "/").await;
        assert_eq!(name_of(&reply), name);
    }
    assert_eq!(dns.asked("blue.dyn.test"), 2, "once, for both families");
    // The port is the service's, whatever the client says.
    assert_eq!(name_of(&client.get("blue.dyn.test:1", "/").await), "blue");
    for host in ["none.dyn.test", "dyn.test", "127.0.0.1", "blue.dyn.test.evil.test"] {
        assert_eq!(client.get(host, "/").await.status, 503, "{host}");
        gateway.access_line_with(" 503 UH no_healthy_upstream").await;
    }
    assert_eq!(dns.asked("blue.dyn.test.evil.test"), 0);
    assert_eq!(sample(&metrics(&gateway).await, "portcullis_dns_dynamic_hosts", &[]), 3.0);
}

#[tokio::test]
async fn a_requests_own_host_never_leads_inward() {
    let (blue, dns) = (Upstream::start("blue"), DnsServer::start());
    dns.answer("blue.dyn.test", DnsAnswer::addresses(60, &["127.0.0.1", "::1"]));
    dns.answer("meta.dyn.test", DnsAnswer::addresses(60, &["169.254.169.254"]));
    let (mut gateway, mut client) = start_dynamic(&dns, blue.address().port(), &[]).await;
    for host in ["blue.dyn.test", "meta.dyn.test"] {
        assert_eq!(client.get(host, "/").await.status, 503, "{host}");
        let line = gateway.access_line_with(" 503 UH no_healthy_upstream").await;
        assert!(line.contains("may not be reached"), "{line}");
    }
    assert_eq!(blue.seen().connections, 0);
}
