//! Bytes that are passed on: both ways, to their ends, through failures, reloads and drains.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{
    authorization_policy, gateway, join, server, service_entry, tcp_service,
};
use portcullis_testkit::{Echo, Refusing, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::Gateway;
use crate::metrics::{metrics, sample};

const PORTS: [&str; 2] = ["--port-map", "80=0,443=0,9000=0"];

const TO_DB: &str =
    "tcp:\n- match: [{port: 9000}]\n  route: [{destination: {host: db.internal}}]\n";

/// A TCP server whose connections go to these endpoints.
fn manifests(endpoints: &[SocketAddr]) -> String {
    join(&[
        gateway("gw", &[server("tcp", 9000, "TCP", &["*"], "")]),
        tcp_service("db", "gw", &["*"], TO_DB),
        service_entry("db", "db.internal", 5432, endpoints),
    ])
}

async fn start(endpoints: &[SocketAddr]) -> Gateway {
    Gateway::start_with(&manifests(endpoints), &PORTS).await
}

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.address("tcp")).await.unwrap()
}

async fn read(stream: &mut TcpStream, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    within("bytes", stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

/// Whether the peer resets the connection, and does not end it as if all were well.
async fn is_reset(mut stream: TcpStream) -> bool {
    let mut bytes = Vec::new();
    let end = within("an end", stream.read_to_end(&mut bytes)).await;
    end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Whether the gateway resets a new connection. It may do so before the client knows that it has one.
async fn refuses(gateway: &Gateway) -> bool {
    match TcpStream::connect(gateway.address("tcp")).await {
        Ok(stream) => is_reset(stream).await,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn a_connection_that_came_to_another_address_goes_to_the_next_rule() {
    let (near, far) = (Echo::plain("near").await, Echo::plain("far").await);
    let all = |subnet: &str| {
        let rules = format!(
            "tcp:\n- match: [{{destinationSubnets: ['{subnet}'], sourceSubnet: 127.0.0.1}}]\n  route: [{{destination: {{host: near.internal}}}}]\n\
             - route: [{{destination: {{host: far.internal}}}}]\n"
        );
        join(&[
            gateway("gw", &[server("tcp", 9000, "TCP", &["*"], "")]),
            tcp_service("db", "gw", &["*"], &rules),
            service_entry("near", "near.internal", 5432, &[near.address]),
            service_entry("far", "far.internal", 5432, &[far.address]),
        ])
    };
    let mut gateway = Gateway::start_with(&all("127.0.0.0/8"), &PORTS).await;
    read(&mut connect(&gateway).await, "near\n").await;
    gateway.apply(&all("192.0.2.0/24")).await;
    read(&mut connect(&gateway).await, "far\n").await;
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted_and_logged() {
    let db = Echo::plain("db").await;
    let mut gateway = start(&[db.address]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    read(&mut stream, "hello").await;
    stream.shutdown().await.unwrap();
    read(&mut stream, "bye\n").await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let line = gateway.access_line().await;
    assert!(line.contains("\"- - -\" 0 - - - \"-\" 5 12 "), "received and sent: {line}");
    assert!(line.contains(&format!("\"{}\" outbound|5432||db.internal ", db.address)), "{line}");
    assert!(line.ends_with(" - VirtualService/default/db/tcp[0]"), "{line}");
    let metrics = metrics(&gateway).await;
    let labels =
        ["destination_service=\"db.internal\"", "request_protocol=\"tcp\"", "response_flags=\"-\""];
    assert_eq!(sample(&metrics, "istio_tcp_connections_opened_total", &labels), 1.0);
    assert_eq!(sample(&metrics, "istio_tcp_connections_closed_total", &labels), 1.0);
    assert_eq!(sample(&metrics, "istio_tcp_received_bytes_total", &labels), 5.0);
    assert_eq!(sample(&metrics, "istio_tcp_sent_bytes_total", &labels), 12.0);
    let protocol = &gateway.ready()["listeners"][0]["protocol"];
    assert_eq!(protocol, "TCP");
}

#[tokio::test]
async fn one_side_may_end_while_the_other_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = start(&[listener.local_addr().unwrap()]).await;
    let mut client = connect(&gateway).await;
    let (mut upstream, _) = listener.accept().await.unwrap();
    upstream.write_all(b"all I have").await.unwrap();
    upstream.shutdown().await.unwrap();
    let mut got = String::new();
    within("the end", client.read_to_string(&mut got)).await.unwrap();
    assert_eq!(got, "all I have");
    client.write_all(b"and I have more").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = String::new();
    within("the end", upstream.read_to_string(&mut got)).await.unwrap();
    assert_eq!(got, "and I have more");
}

#[tokio::test]
async fn much_passes_byte_for_byte() {
    let db = Echo::plain("db").await;
    let gateway = start(&[db.address]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    let sent: Vec<u8> =
        (0..16 << 20).map(|nth: u32| (nth.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let (mut from, mut to) = stream.split();
    let mut got = Vec::with_capacity(sent.len() + 4);
    let sending = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) = tokio::join!(sending, within("16 MiB", from.read_to_end(&mut got)));
    read.unwrap();
    assert!(got.strip_suffix(b"bye\n") == Some(&sent[..]));
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over() {
    let (db, dead) = (Echo::plain("db").await, Refusing::open());
    let mut gateway = start(&[dead.address, db.address]).await;
    for _ in 0..8 {
        read(&mut connect(&gateway).await, "db\n").await;
    }
    // Another one: the first is known to refuse by now, and out.
    let dead = Refusing::open();
    gateway.apply(&manifests(&[dead.address])).await;
    assert!(refuses(&gateway).await);
    let line = gateway.access_line_with(" UF ").await;
    assert!(line.contains("connection refused"), "{line}");
    assert!(line.contains(&dead.address.to_string()), "{line}");
    gateway.apply(&manifests(&[])).await;
    assert!(refuses(&gateway).await);
    gateway.access_line_with(" UH no_healthy_upstream ").await;
    let unrouted =
        join(&[gateway_of_tcp(), service_entry("db", "db.internal", 5432, &[db.address])]);
    gateway.apply(&unrouted).await;
    assert!(refuses(&gateway).await);
    gateway.access_line_with(" NR route_not_found ").await;
}

fn gateway_of_tcp() -> String {
    gateway("gw", &[server("tcp", 9000, "TCP", &["*"], "")])
}

#[tokio::test]
async fn weights_share_connections() {
    let (a, b) = (Echo::plain("a").await, Echo::plain("b").await);
    let rules = "\
tcp:
- route:
  - {destination: {host: a.internal}, weight: 0}
  - {destination: {host: missing.internal}, weight: 50}
  - {destination: {host: b.internal}, weight: 50}
";
    let mut gateway = Gateway::start_with(
        &join(&[
            gateway_of_tcp(),
            tcp_service("db", "gw", &["*"], rules),
            service_entry("a", "a.internal", 1, &[a.address]),
            service_entry("b", "b.internal", 1, &[b.address]),
        ]),
        &PORTS,
    )
    .await;
    let (mut served, mut closed) = (0, 0);
    while served == 0 || closed == 0 {
        let connected = TcpStream::connect(gateway.address("tcp")).await;
        let Ok(mut stream) = connected else {
            closed += 1;
            continue;
        };
        match within("a byte", stream.read_u8()).await {
            Ok(byte) => {
                assert_eq!(byte, b'b', "no connection goes to a weight of 0");
                served += 1;
            }
            Err(_) => closed += 1,
        }
    }
    gateway.access_line_with(" NC cluster_not_found ").await;
}

#[tokio::test]
async fn a_reset_is_passed_on_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gateway = start(&[listener.local_addr().unwrap()]).await;
    let reset = |stream: TcpStream| stream.set_zero_linger().unwrap();
    let client = connect(&gateway).await;
    let (upstream, _) = listener.accept().await.unwrap();
    reset(client);
    assert!(is_reset(upstream).await);
    gateway.access_line_with(" DC downstream_reset ").await;
    let mut client = connect(&gateway).await;
    let (mut upstream, _) = listener.accept().await.unwrap();
    // Now the gateway knows that it has the connection.
    upstream.write_all(b"x").await.unwrap();
    read(&mut client, "x").await;
    reset(upstream);
    assert!(is_reset(client).await);
    gateway.access_line_with(" UC upstream_reset ").await;
}

#[tokio::test]
async fn a_connection_outlives_what_it_was_configured_by() {
    let db = Echo::plain("db").await;
    let mut gateway = start(&[db.address]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    let dead = Refusing::open();
    gateway.apply(&manifests(&[dead.address])).await;
    stream.write_all(b"first").await.unwrap();
    read(&mut stream, "first").await;
    gateway.apply(&join(&[service_entry("db", "db.internal", 5432, &[])])).await;
    stream.write_all(b"second").await.unwrap();
    read(&mut stream, "second").await;
}

#[tokio::test]
async fn a_drain_waits_for_connections_until_its_timeout() {
    let db = Echo::plain("db").await;
    let drain = ["--drain-delay", "0s", "--drain-timeout", "2s"];
    let mut gateway =
        Gateway::start_with(&manifests(&[db.address]), &[&PORTS[..], &drain].concat()).await;
    let mut ending = connect(&gateway).await;
    read(&mut ending, "db\n").await;
    let mut staying = connect(&gateway).await;
    read(&mut staying, "db\n").await;
    gateway.signal("TERM");
    gateway.wait_for_log("drain").await;
    ending.write_all(b"last words").await.unwrap();
    read(&mut ending, "last words").await;
    drop(ending);
    let mut rest = Vec::new();
    let _cut = within("the cut", staying.read_to_end(&mut rest)).await;
    gateway.access_line_with(" DT ").await;
    assert!(gateway.wait().await.success());
}

#[tokio::test]
async fn ipv6_on_both_sides() {
    let db = Echo::plain_v6("six").await;
    let arguments = [&PORTS[..], &["--bind", "::1"]].concat();
    let mut gateway = Gateway::start_with(&manifests(&[db.address]), &arguments).await;
    assert!(gateway.address("tcp").is_ipv6());
    let mut stream = connect(&gateway).await;
    read(&mut stream, "six\n").await;
    drop(stream);
    let line = gateway.access_line().await;
    assert!(line.contains(&format!("\"{}\"", db.address)), "{line}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_refuses_connections_too() {
    let db = Echo::plain("db").await;
    let broken = authorization_policy("deny", "{action: DENY, rules: [{form: []}]}");
    let manifests = join(&[manifests(&[db.address]), broken]);
    let mut gateway = Gateway::start_with(&manifests, &PORTS).await;
    assert!(refuses(&gateway).await);
    gateway.access_line_with(" UAEX policy_broken ").await;
}

#[tokio::test]
async fn policies_decide_which_connections_may_pass() {
    let db = Echo::plain("db").await;
    let with = |spec: &str| join(&[manifests(&[db.address]), authorization_policy("p", spec)]);
    let loopback = "{from: [{source: {ipBlocks: [127.0.0.0/8]}}]";
    let mut gateway =
        Gateway::start_with(&with(&format!("{{rules: [{loopback}}}]}}")), &PORTS).await;
    read(&mut connect(&gateway).await, "db\n").await;
    // A DENY of requests denies connections, an ALLOW of requests lets none in.
    for (spec, details) in [
        (
            format!(
                "{{action: DENY, rules: [{loopback}, to: [{{operation: {{methods: [PUT]}}}}]}}]}}"
            ),
            "rule[0]]",
        ),
        (
            format!("{{rules: [{loopback}, to: [{{operation: {{paths: ['*']}}}}]}}]}}"),
            "policy[none]",
        ),
        ("{rules: [{to: [{operation: {ports: ['9001']}}]}]}".to_owned(), "policy[none]"),
        ("{action: CUSTOM, provider: {name: x}, rules: [{}]}".to_owned(), "rule[0]]"),
    ] {
        gateway.apply(&with(&spec)).await;
        assert!(refuses(&gateway).await, "{spec}");
        let line = gateway.access_line_with(" UAEX rbac_access_denied_matched_policy[").await;
        assert!(line.contains(details), "{spec}: {line}");
    }
    gateway.apply(&with("{rules: [{to: [{operation: {ports: ['9000']}}]}]}")).await;
    read(&mut connect(&gateway).await, "db\n").await;
}

/// Connections to `db` under a DestinationRule with these limits.
async fn start_limited(db: &Echo, tcp: &str) -> Gateway {
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: db}}\nspec:\n  \
         host: db.internal\n  trafficPolicy: {{connectionPool: {{tcp: {{{tcp}}}}}}}\n"
    );
    Gateway::start_with(&join(&[manifests(&[db.address]), rule]), &PORTS).await
}

#[tokio::test]
async fn a_silent_connection_ends_after_its_idle_timeout() {
    let db = Echo::plain("db").await;
    let mut gateway = start_limited(&db, "idleTimeout: 1s").await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    assert!(is_reset(stream).await);
    gateway.access_line_with(" SI tcp_idle_timeout ").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_end_with_uo() {
    let db = Echo::plain("db").await;
    let mut gateway = start_limited(&db, "maxConnections: 1").await;
    let mut first = connect(&gateway).await;
    read(&mut first, "db\n").await;
    assert!(refuses(&gateway).await);
    let line = gateway.access_line_with(" UO upstream_overflow ").await;
    assert!(line.contains("limit of connections reached"), "{line}");
    // The place is free once the first has gone.
    first.shutdown().await.unwrap();
    read(&mut first, "bye\n").await;
    gateway.access_line_with("\"- - -\" 0 - - - ").await;
    read(&mut connect(&gateway).await, "db\n").await;
}

#[tokio::test]
async fn a_connection_ends_at_its_age_however_busy_it_is() {
    let db = Echo::plain("db").await;
    let mut gateway = start_limited(&db, "maxConnectionDuration: 1s").await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    let talking = async {
        let mut byte = [0];
        while stream.write_all(b"x").await.is_ok() && stream.read_exact(&mut byte).await.is_ok() {}
    };
    within("its end", talking).await;
    gateway.access_line_with(" DT max_connection_duration ").await;
}
