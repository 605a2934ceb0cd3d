//! Client certificates: each mode with good, wrong, missing, expired and revoked ones, and what the upstream
//! learns of the good.

use std::io;

use portcullis_testkit::manifests::{http_server, tls_secret_with, tls_server};
use portcullis_testkit::{Authority, Certificates, Client, Handshake, Subject, Tls, Upstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, all_to_blue};

const SPIFFE: &str = "spiffe://cluster.local/ns/shop/sa/ada";

/// A gateway whose one server verifies clients.
struct Mutual {
    blue: Upstream,
    own: Certificates,
    clients: Authority,
    gateway: Gateway,
}

impl Mutual {
    /// With these fields of `tls` beside the Secret, whose entries are those of `more` beside the certificate.
    async fn open(fields: &str, more: impl Fn(&Authority) -> Vec<(&'static str, String)>) -> Self {
        let (blue, own) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
        let clients = Authority::new();
        let all = Mutual::text(&blue, &own, fields, &more(&clients));
        let gateway = Gateway::start(&all).await;
        Mutual { blue, own, clients, gateway }
    }

    fn text(
        blue: &Upstream,
        own: &Certificates,
        fields: &str,
        more: &[(&'static str, String)],
    ) -> String {
        let servers = [
            tls_server("https", 443, &[HOST], &format!("credentialName: cert, {fields}")),
            http_server("http", 80, &["*"]),
        ];
        let more: Vec<_> = more.iter().map(|(key, value)| (*key, value.as_str())).collect();
        all_to_blue(blue, &servers, &[tls_secret_with("cert", own, &more)])
    }

    fn tls(&self) -> Tls {
        Tls::new(HOST, &self.own)
    }

    async fn ask(&self, tls: &Tls) -> io::Result<Handshake> {
        Handshake::make(self.gateway.address("https"), tls, HOST).await
    }

    async fn ask_with(&self, client: &Certificates) -> io::Result<Handshake> {
        self.ask(&self.tls().presenting(client)).await
    }
}

fn authority(clients: &Authority) -> Vec<(&'static str, String)> {
    vec![("ca.crt", clients.pem())]
}

fn revoking_7(clients: &Authority) -> Vec<(&'static str, String)> {
    vec![("ca.crt", clients.pem()), ("ca.crl", clients.revoke(&[7]))]
}

#[tokio::test]
async fn mutual_serves_the_vouched_for_alone() {
    let mutual = Mutual::open("mode: MUTUAL", authority).await;
    let good = mutual.clients.issue(&["ada.example"]);
    let strangers = Authority::new().issue(&["ada.example"]);
    let expired = mutual.clients.issue_to(&Subject::new(&["ada.example"]).expired());
    for tls in [mutual.tls(), mutual.tls().tls12()] {
        assert_eq!(mutual.ask(&tls.clone().presenting(&good)).await.unwrap().status, 200);
        assert!(mutual.ask(&tls).await.is_err(), "without a certificate");
        for bad in [&strangers, &expired] {
            assert!(mutual.ask(&tls.clone().presenting(bad)).await.is_err());
        }
    }
    assert_eq!(mutual.blue.seen().requests, 2);
}

#[tokio::test]
async fn optional_mutual_serves_those_without_and_refuses_the_bad() {
    let mutual = Mutual::open("mode: OPTIONAL_MUTUAL", authority).await;
    let good = mutual.clients.issue(&["ada.example"]);
    let strangers = Authority::new().issue(&["ada.example"]);
    let known = mutual.ask_with(&good).await.unwrap();
    assert!(known.seen_by_upstream("x-forwarded-client-cert").unwrap().contains("Hash="));
    let unknown = mutual.ask(&mutual.tls()).await.unwrap();
    assert_eq!(unknown.seen_by_upstream("x-forwarded-client-cert"), None);
    assert!(mutual.ask_with(&strangers).await.is_err());
}

#[tokio::test]
async fn the_revoked_are_refused() {
    let mutual = Mutual::open("mode: MUTUAL", revoking_7).await;
    let good = mutual.clients.issue_to(&Subject::new(&["ada.example"]).serial(8));
    let revoked = mutual.clients.issue_to(&Subject::new(&["ada.example"]).serial(7));
    assert_eq!(mutual.ask_with(&good).await.unwrap().status, 200);
    assert!(mutual.ask_with(&revoked).await.is_err());
}

#[tokio::test]
async fn names_narrow_who_is_let_in() {
    let fields = format!("mode: MUTUAL, subjectAltNames: ['{SPIFFE}', bob.example]");
    let mutual = Mutual::open(&fields, authority).await;
    let by_uri = mutual.clients.issue_to(&Subject::new(&["x.example"]).uri(SPIFFE));
    let by_name = mutual.clients.issue(&["bob.example"]);
    let by_neither = mutual.clients.issue(&["ada.example", "bob.example.org"]);
    assert_eq!(mutual.ask_with(&by_uri).await.unwrap().status, 200);
    assert_eq!(mutual.ask_with(&by_name).await.unwrap().status, 200);
    assert!(mutual.ask_with(&by_neither).await.is_err());
}

#[tokio::test]
async fn a_pin_narrows_it_to_one() {
    let clients = Authority::new();
    let (pinned, other) = (clients.issue(&["ada.example"]), clients.issue(&["ada.example"]));
    let pin: String = sha256(&pinned.leaf_der).iter().map(|byte| format!("{byte:02x}")).collect();
    let fields = format!("mode: MUTUAL, verifyCertificateHash: ['{pin}']");
    let ca = clients.pem();
    let mutual = Mutual::open(&fields, |_| vec![("ca.crt", ca.clone())]).await;
    assert_eq!(mutual.ask_with(&pinned).await.unwrap().status, 200);
    assert!(mutual.ask_with(&other).await.is_err());
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    portcullis_testkit::sha256(bytes)
}

#[tokio::test]
async fn without_authorities_nobody_is_let_in_and_the_rest_goes_on() {
    let mut mutual = Mutual::open("mode: MUTUAL", |_| Vec::new()).await;
    let anybody = mutual.clients.issue(&["ada.example"]);
    assert!(mutual.ask_with(&anybody).await.is_err());
    assert!(mutual.ask(&mutual.tls()).await.is_err());
    let mut plain = Client::http1(mutual.gateway.address("http")).await.unwrap();
    assert_eq!(plain.get(HOST, "/").await.upstream(), "blue");
    // What it lacked comes, and it serves.
    let text = Mutual::text(&mutual.blue, &mutual.own, "mode: MUTUAL", &authority(&mutual.clients));
    mutual.gateway.apply(&text).await;
    assert_eq!(mutual.ask_with(&anybody).await.unwrap().status, 200);
    assert!(mutual.ask(&mutual.tls()).await.is_err());
}

#[tokio::test]
async fn the_meshs_certificates_are_read_from_files_and_renewed() {
    let blue = Upstream::start("blue");
    let (mesh, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let put = |own: &Certificates| {
        for (name, pem) in [
            ("key.pem", &own.key_pem),
            ("cert-chain.pem", &own.chain_pem),
            ("root-cert.pem", &own.ca_pem),
        ] {
            let new = directory.path().join(".new");
            std::fs::write(&new, pem).unwrap();
            std::fs::rename(new, directory.path().join(name)).unwrap();
        }
    };
    let subject = || Subject::new(&[HOST]).uri("spiffe://cluster.local/ns/edge/sa/gateway");
    let first = mesh.issue_to(&subject());
    put(&first);
    let servers = [tls_server("https", 443, &["*"], "mode: ISTIO_MUTUAL")];
    let path = directory.path().to_str().unwrap().to_owned();
    let arguments = ["--mesh-certificates", path.as_str()];
    let mut gateway = Gateway::start_with(&all_to_blue(&blue, &servers, &[]), &arguments).await;
    let address = gateway.address("https");
    let client = mesh.issue_to(&Subject::new(&[]).common_name("ada").uri(SPIFFE));
    let tls = Tls::new(HOST, &first);
    let shaken = Handshake::make(address, &tls.clone().presenting(&client), HOST).await.unwrap();
    assert_eq!(shaken.certificate, first.leaf_der);
    let seen = shaken.seen_by_upstream("x-forwarded-client-cert").unwrap();
    let by = "By=spiffe://cluster.local/ns/edge/sa/gateway;Hash=";
    assert!(
        seen.starts_with(by) && seen.ends_with(&format!("Subject=\"CN=ada\";URI={SPIFFE}")),
        "{seen}"
    );
    assert!(Handshake::make(address, &tls, HOST).await.is_err());
    let second = mesh.issue_to(&subject());
    put(&second);
    // Files that are replaced one after the other may be read in between, in vain.
    loop {
        gateway.wait_for_log("configuration").await;
        let tls = tls.clone().presenting(&client);
        let shaken = Handshake::make(address, &tls, HOST).await.unwrap();
        if shaken.certificate == second.leaf_der {
            break;
        }
        assert_eq!(shaken.certificate, first.leaf_der);
    }
}

#[tokio::test]
async fn the_upstream_learns_who_the_client_is_and_never_from_itself() {
    let mutual = Mutual::open("mode: MUTUAL", authority).await;
    let subject = Subject::new(&["ada.example", "ada.example.org"])
        .common_name("Ada, \"the\" Countess")
        .uri(SPIFFE);
    let client = mutual.clients.issue_to(&subject);
    let forged = "x-forwarded-client-cert: By=x;Hash=00;URI=spiffe://cluster.local/admin\r\nX-Forwarded-Client-Cert: second\r\n";
    let tls = mutual.tls().presenting(&client);
    let address = mutual.gateway.address("https");
    let shaken = Handshake::with_fields(address, &tls, HOST, forged).await.unwrap();
    let hash: String = sha256(&client.leaf_der).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        shaken.seen_by_upstream("x-forwarded-client-cert").unwrap(),
        format!(
            "Hash={hash};Subject=\"CN=Ada\\, \\\"the\\\" Countess\";URI={SPIFFE};DNS=ada.example;DNS=ada.example.org"
        )
    );
    let mut plain = Client::http1(mutual.gateway.address("http")).await.unwrap();
    let call = portcullis_testkit::Call::get(HOST, "/").header("x-forwarded-client-cert", "By=x");
    assert!(plain.call(call).await.json()["headers"]["x-forwarded-client-cert"].is_null());
}

#[tokio::test]
async fn clients_are_verified_over_ipv6_alike() {
    let (blue, own) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let clients = Authority::new();
    let all = Mutual::text(&blue, &own, "mode: MUTUAL", &authority(&clients));
    let gateway = Gateway::start_with(&all, &["--bind", "::1"]).await;
    let address = gateway.address("https");
    assert!(address.is_ipv6());
    let tls = Tls::new(HOST, &own);
    assert!(Handshake::make(address, &tls, HOST).await.is_err());
    let tls = tls.presenting(&clients.issue(&["ada.example"]));
    assert_eq!(Handshake::make(address, &tls, HOST).await.unwrap().status, 200);
}
