//! Connections and sessions are good for the policy that they were made under, and for no other.

use portcullis_testkit::manifests::{
    gateway, join, route_to, secret, server, service_entry, tcp_service, tls_secret_with,
    tls_server, virtual_service,
};
use portcullis_testkit::{
    Authority, Call, Certificates, Client, Echo, Handshake, Tls, Upstream, WebSocketUpstream,
    websocket_handshake, within,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::shop::all_to_blue;

const A: &str = "a.example.com";
const B: &str = "b.example.com";

/// What the servers `a` and `b` of one socket are to be.
struct Pair {
    blue: Upstream,
    /// For both names.
    own: Certificates,
    other: Certificates,
    clients: Authority,
}

impl Pair {
    fn new() -> Self {
        let authority = Authority::new();
        Pair {
            blue: Upstream::start("blue"),
            own: authority.issue(&[A, B]),
            other: authority.issue(&[A, B]),
            clients: Authority::new(),
        }
    }

    /// The servers with these fields of `tls`. The Secrets are `own`, `other`, and `mutual` with a CA.
    fn text(&self, a: &str, b: &str) -> String {
        self.text_with(a, b, &self.clients.pem())
    }

    fn text_with(&self, a: &str, b: &str, ca: &str) -> String {
        let servers = [tls_server("a", 443, &[A], a), tls_server("b", 443, &[B], b)];
        let secrets = [
            tls_secret_with("own", &self.own, &[]),
            tls_secret_with("other", &self.other, &[]),
            tls_secret_with("mutual", &self.own, &[("ca.crt", ca)]),
            secret("authority", &[("ca.crt", ca)]),
        ];
        all_to_blue(&self.blue, &servers, &secrets)
    }

    fn tls(&self) -> Tls {
        Tls::new(A, &self.own)
    }
}

const SIMPLE: &str = "mode: SIMPLE, credentialName: own";
const SIMPLE_OTHER: &str = "mode: SIMPLE, credentialName: other";
const MUTUAL: &str = "mode: MUTUAL, credentialName: mutual";

/// Whether a request for a host is served on a connection that was made for `a`.
async fn served(gateway: &Gateway, tls: &Tls, host: &str) -> u16 {
    let mut client = Client::tls(gateway.address("a"), tls).await.unwrap();
    client.get(host, "/").await.status.as_u16()
}

#[tokio::test]
async fn a_request_for_another_listener_is_421_only_where_the_policy_differs() {
    let pair = Pair::new();
    let mut gateway = Gateway::start(&pair.text(SIMPLE, SIMPLE)).await;
    let (http1, http2) = (pair.tls(), pair.tls().http2());
    for tls in [&http1, &http2] {
        assert_eq!(served(&gateway, tls, B).await, 200, "the same certificate, the same policy");
    }
    for other in
        [SIMPLE_OTHER, MUTUAL, "mode: SIMPLE, credentialName: own, minProtocolVersion: TLSV1_3"]
    {
        gateway.apply(&pair.text(SIMPLE, other)).await;
        for tls in [&http1, &http2] {
            assert_eq!(served(&gateway, tls, B).await, 421, "{other}");
            assert_eq!(served(&gateway, tls, A).await, 200, "{other}");
        }
        gateway.access_line_with(" 421 - misdirected_request ").await;
    }
    assert_eq!(pair.blue.seen().requests, 2 + 3 * 2);
}

#[tokio::test]
async fn the_421_leaves_the_connection_to_its_own_host() {
    let pair = Pair::new();
    let gateway = Gateway::start(&pair.text(SIMPLE, MUTUAL)).await;
    let mut client = Client::tls(gateway.address("a"), &pair.tls()).await.unwrap();
    assert_eq!(client.get(B, "/").await.status, 421);
    assert_eq!(client.get(A, "/").await.status, 200);
    // The same name in another spelling is no way around.
    for host in ["B.Example.com", "b.example.com.", "b.example.com:443"] {
        assert_eq!(client.get(host, "/").await.status, 421, "{host}");
    }
}

#[tokio::test]
async fn a_client_that_was_verified_for_one_listener_is_not_for_another() {
    let pair = Pair::new();
    let two = "mode: MUTUAL, credentialName: own, caCertCredentialName: second";
    let strangers = Authority::new();
    let all = join(&[pair.text(MUTUAL, two), secret("second", &[("ca.crt", &strangers.pem())])]);
    let gateway = Gateway::start(&all).await;
    let tls = pair.tls().presenting(&pair.clients.issue(&["ada.example"]));
    assert_eq!(served(&gateway, &tls, A).await, 200);
    assert_eq!(served(&gateway, &tls, B).await, 421);
}

#[tokio::test]
async fn a_ticket_resumes_on_its_own_listener_alone() {
    let pair = Pair::new();
    for (a, b) in [(SIMPLE, MUTUAL), (SIMPLE, SIMPLE_OTHER), (SIMPLE, SIMPLE)] {
        let gateway = Gateway::start(&pair.text(a, b)).await;
        let address = gateway.address("a");
        for tls in [pair.tls().tls12(), pair.tls().tls13()] {
            let tls = tls.keeping_sessions();
            let first = Handshake::make(address, &tls, A).await.unwrap();
            assert!(!first.resumed);
            let again = Handshake::make(address, &tls, A).await.unwrap();
            assert!(again.resumed, "tickets are on: {:?}", again.version);
            match Handshake::make(address, &tls.clone().asking_for(B), B).await {
                Ok(other) => assert!(!other.resumed && b != MUTUAL, "{b}"),
                Err(_) => assert_eq!(b, MUTUAL),
            }
        }
    }
}

#[tokio::test]
async fn a_ticket_from_before_a_tighter_policy_resumes_nothing() {
    let pair = Pair::new();
    let mut gateway = Gateway::start(&pair.text(SIMPLE, SIMPLE)).await;
    let address = gateway.address("a");
    let lax = [pair.tls().tls12().keeping_sessions(), pair.tls().tls13().keeping_sessions()];
    for tls in &lax {
        assert_eq!(Handshake::make(address, tls, A).await.unwrap().status, 200);
    }
    gateway.apply(&pair.text(MUTUAL, SIMPLE)).await;
    for tls in &lax {
        assert!(Handshake::make(address, tls, A).await.is_err());
    }
    let client = pair.clients.issue(&["ada.example"]);
    let known = pair.tls().presenting(&client).keeping_sessions();
    assert_eq!(Handshake::make(address, &known, A).await.unwrap().status, 200);
    let resumed = Handshake::make(address, &known, A).await.unwrap();
    assert!(resumed.resumed && resumed.seen_by_upstream("x-forwarded-client-cert").is_some());
    // Another authority: who was let in is not any more, ticket or not.
    gateway.apply(&pair.text_with(MUTUAL, SIMPLE, &Authority::new().pem())).await;
    assert!(Handshake::make(address, &known, A).await.is_err());
}

#[tokio::test]
async fn a_ticket_outlives_the_rotation_of_the_certificate() {
    let pair = Pair::new();
    let mut gateway = Gateway::start(&pair.text(SIMPLE, MUTUAL)).await;
    let (address, tls) = (gateway.address("a"), pair.tls().keeping_sessions());
    Handshake::make(address, &tls, A).await.unwrap();
    gateway.apply(&pair.text(SIMPLE_OTHER, MUTUAL)).await;
    assert!(Handshake::make(address, &tls, A).await.unwrap().resumed);
    let fresh = Handshake::make(address, &pair.tls(), A).await.unwrap();
    assert_eq!(fresh.certificate, pair.other.leaf_der);
}

#[tokio::test]
async fn connections_of_a_laxer_policy_are_sent_away() {
    let pair = Pair::new();
    let mut gateway = Gateway::start(&pair.text(SIMPLE, SIMPLE)).await;
    let (http1, http2) = (pair.tls(), pair.tls().http2());
    let mut idle = [
        Client::tls(gateway.address("a"), &http1).await.unwrap(),
        Client::tls(gateway.address("a"), &http2).await.unwrap(),
    ];
    let mut busy = Client::tls(gateway.address("a"), &http2).await.unwrap();
    for client in &mut idle {
        assert_eq!(client.get(A, "/").await.status, 200);
    }
    let mut stream = busy.another_stream();
    let held = tokio::spawn(async move { stream.call(Call::get(A, "/slow")).await.status });
    pair.blue.until(|seen| seen.held == 1).await;
    gateway.apply(&pair.text(MUTUAL, SIMPLE)).await;
    for client in &mut idle {
        portcullis_testkit::within("the idle connection's end", async {
            while !client.is_closed() {
                // It may answer once more, but never serves.
                if let Ok(reply) = client.try_call(Call::get(A, "/")).await {
                    assert_eq!(reply.status, 421);
                }
            }
        })
        .await;
    }
    // What was under way ends as it should; nothing new begins.
    if let Ok(reply) = busy.try_call(Call::get(A, "/")).await {
        assert_eq!(reply.status, 421);
    }
    pair.blue.release();
    assert_eq!(held.await.unwrap(), 200);
    assert_eq!(pair.blue.seen().requests, 3);
}

/// Servers for a WebSocket and for TCP, both with these fields of `tls`.
struct Carried {
    pair: Pair,
    chat: WebSocketUpstream,
    echo: Echo,
}

impl Carried {
    fn text(&self, tls: &str) -> String {
        let tcp = server("b", 443, "TLS", &[B], &format!("tls: {{{tls}}}"));
        let ca = self.pair.clients.pem();
        join(&[
            gateway("shop", &[tls_server("a", 443, &[A], tls), tcp]),
            virtual_service("chat", "shop", &[A], &route_to("chat.example", 80)),
            tcp_service(
                "echo",
                "shop",
                &[B],
                "tcp:\n- route: [{destination: {host: echo.internal}}]\n",
            ),
            service_entry("chat", "chat.example", 80, &[self.chat.address]),
            service_entry("echo", "echo.internal", 80, &[self.echo.address]),
            tls_secret_with("own", &self.pair.own, &[]),
            tls_secret_with("mutual", &self.pair.own, &[("ca.crt", &ca)]),
        ])
    }
}

type Carrier = Box<dyn Both>;

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Both for S {}

/// A WebSocket over HTTP/1, one over HTTP/2, and a connection that is passed on.
async fn carriers(gateway: &Gateway, tls: &Tls) -> [Carrier; 3] {
    let connect = async |tls: &Tls| {
        tls.connect(TcpStream::connect(gateway.address("a")).await.unwrap()).await.unwrap()
    };
    let mut http1 = connect(tls).await;
    http1.write_all(websocket_handshake(A, "/one").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the 101", http1.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut client = Client::tls(gateway.address("a"), &tls.clone().http2()).await.unwrap();
    assert_eq!(client.get(A, "/ok").await.status, 200);
    let call = Call::get(A, "/two").header("sec-websocket-version", "13");
    let http2 = client.extended_connect("websocket", call).await.unwrap().1.unwrap();
    let mut passed = connect(&tls.clone().asking_for(B)).await;
    assert_eq!(within("the greeting", passed.read_u8()).await.unwrap(), b'e');
    let mut rest = [0; 4];
    within("the greeting", passed.read_exact(&mut rest)).await.unwrap();
    [Box::new(http1), Box::new(http2), Box::new(passed)]
}

async fn echoes(carrier: &mut Carrier) -> bool {
    let mut got = [0; 2];
    let asking = async {
        carrier.write_all(b"hi").await?;
        carrier.flush().await?;
        carrier.read_exact(&mut got).await
    };
    within("the echo or the end", asking).await.is_ok() && got == *b"hi"
}

#[tokio::test]
async fn tunnels_of_a_laxer_policy_are_cut() {
    let (pair, chat) = (Pair::new(), WebSocketUpstream::start().await);
    let carried = Carried { pair, chat, echo: Echo::plain("echo").await };
    let mut gateway = Gateway::start(&carried.text(SIMPLE)).await;
    let tls = carried.pair.tls();
    let mut anonymous = carriers(&gateway, &tls).await;
    for carrier in &mut anonymous {
        assert!(echoes(carrier).await);
    }
    gateway.apply(&carried.text(MUTUAL)).await;
    for carrier in &mut anonymous {
        let mut rest = Vec::new();
        // However it ends, it does.
        let _ = within("the tunnel's end", carrier.read_to_end(&mut rest)).await;
    }
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(gateway.access_line_with(" LR tls_policy_tightened ").await);
    }
    for one in ["/one", "/two", "outbound|80||echo.internal"] {
        assert!(lines.iter().any(|line| line.contains(one)), "{one} in {lines:?}");
    }
    // Who was verified stays, whatever else changes.
    let known = tls.presenting(&carried.pair.clients.issue(&["ada.example"]));
    let mut verified = carriers(&gateway, &known).await;
    gateway.apply(&carried.text(SIMPLE)).await;
    for carrier in &mut verified {
        assert!(echoes(carrier).await);
    }
}

#[tokio::test]
async fn other_changes_send_nobody_away() {
    let pair = Pair::new();
    let client = pair.clients.issue(&["ada.example"]);
    let mut gateway = Gateway::start(&pair.text(MUTUAL, SIMPLE)).await;
    let tls = pair.tls().presenting(&client);
    let mut kept = Client::tls(gateway.address("a"), &tls).await.unwrap();
    assert_eq!(kept.get(A, "/").await.status, 200);
    // The certificate of the server, another listener, a laxer policy: the verdict still holds.
    let rotated = "mode: MUTUAL, credentialName: other, caCertCredentialName: authority";
    for (a, b) in [(rotated, SIMPLE), (rotated, MUTUAL), (SIMPLE, MUTUAL)] {
        gateway.apply(&pair.text(a, b)).await;
        assert_eq!(kept.get(A, "/").await.status, 200, "{a} {b}");
    }
}

#[tokio::test]
async fn a_revoked_client_loses_its_connection() {
    let pair = Pair::new();
    let subject = portcullis_testkit::Subject::new(&["ada.example"]).serial(7);
    let client = pair.clients.issue_to(&subject);
    let with_list = |serials: &[u64]| {
        let list = pair.clients.revoke(serials);
        let ca = pair.clients.pem();
        let named = secret("listed", &[("ca.crt", &ca), ("ca.crl", &list)]);
        let a = "mode: MUTUAL, credentialName: own, caCertCredentialName: listed";
        join(&[pair.text(a, SIMPLE), named])
    };
    let mut gateway = Gateway::start(&with_list(&[1])).await;
    let tls = pair.tls().presenting(&client).keeping_sessions();
    let mut open = Client::tls(gateway.address("a"), &tls).await.unwrap();
    assert_eq!(open.get(A, "/").await.status, 200);
    gateway.apply(&with_list(&[1, 7])).await;
    if let Ok(reply) = open.try_call(Call::get(A, "/")).await {
        assert_eq!(reply.status, 421);
    }
    assert!(Handshake::make(gateway.address("a"), &tls, A).await.is_err(), "nor by a ticket");
    assert_eq!(pair.blue.seen().requests, 1);
}
