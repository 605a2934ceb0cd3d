//! Connections and sessions are good for the policy that they were made under, and for no other.

use portcullis_testkit::manifests::{join, secret, tls_server};
use portcullis_testkit::{Authority, Call, Certificates, Client, Handshake, Tls, Upstream};

use crate::gateway::Gateway;
use crate::tls_modes::{certificate_secret, manifests};

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
            certificate_secret("own", &self.own, &[]),
            certificate_secret("other", &self.other, &[]),
            certificate_secret("mutual", &self.own, &[("ca.crt", ca)]),
            secret("authority", &[("ca.crt", ca)]),
        ];
        manifests(&self.blue, &servers, &secrets)
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
