//! What a server shows and speaks: RSA or ECDSA, versions, cipher suites, OCSP; and its renewal.

use portcullis_testkit::manifests::{secret, tls_secret_with, tls_server};
use portcullis_testkit::{
    Authority, Certificates, CipherSuite, Handshake, KeyKind, ProtocolVersion, Subject, Tls,
    Upstream,
};

use crate::gateway::Gateway;
use crate::shop::{HOST, all_to_blue};

/// A gateway whose one server has these fields of `tls`.
async fn open(blue: &Upstream, fields: &str, secrets: &[String]) -> Gateway {
    Gateway::start(&all_to_blue(blue, &[tls_server("https", 443, &["*"], fields)], secrets)).await
}

#[tokio::test]
async fn a_client_gets_the_certificate_that_it_understands() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let of = |kind| authority.issue_to(&Subject::new(&[HOST]).key(kind));
    let (rsa, ecdsa) = (of(KeyKind::Rsa), of(KeyKind::Ecdsa));
    let secrets = [tls_secret_with("rsa", &rsa, &[]), tls_secret_with("ecdsa", &ecdsa, &[])];
    let gateway = open(&blue, "mode: SIMPLE, credentialNames: [rsa, ecdsa]", &secrets).await;
    let address = gateway.address("https");
    let tls = Tls::new(HOST, &rsa);
    for tls in [tls.clone().tls12(), tls.tls13()] {
        let modern = Handshake::make(address, &tls, HOST).await.unwrap();
        assert_eq!(modern.certificate, ecdsa.leaf_der);
        // Its chain is signed by ECDSA, so such a client stops after it has seen the leaf.
        assert_eq!(shown_to_rsa_only(address, tls).await, rsa.leaf_der);
    }
}

/// The certificate that a client gets which understands RSA alone.
async fn shown_to_rsa_only(address: std::net::SocketAddr, tls: Tls) -> Vec<u8> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    tls.rsa_only().shown(stream).await
}

#[tokio::test]
async fn versions_are_kept_to() {
    let (blue, own) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let secrets = [tls_secret_with("cert", &own, &[])];
    let (older, newer) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
    for (fields, served) in [
        ("", vec![older, newer]),
        (", minProtocolVersion: TLSV1_0", vec![older, newer]),
        (", minProtocolVersion: TLSV1_3", vec![newer]),
        (", maxProtocolVersion: TLSV1_2", vec![older]),
    ] {
        let fields = format!("mode: SIMPLE, credentialName: cert{fields}");
        let gateway = open(&blue, &fields, &secrets).await;
        let tls = Tls::new(HOST, &own);
        for (tls, version) in [(tls.clone().tls12(), older), (tls.tls13(), newer)] {
            let shaken = Handshake::make(gateway.address("https"), &tls, HOST).await;
            let agreed = shaken.ok().and_then(|shaken| shaken.version);
            assert_eq!(agreed, Some(version).filter(|v| served.contains(v)), "{fields}");
        }
    }
}

#[tokio::test]
async fn cipher_suites_are_kept_to() {
    let (blue, own) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let fields =
        "mode: SIMPLE, credentialName: cert, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]";
    let gateway = open(&blue, fields, &[tls_secret_with("cert", &own, &[])]).await;
    let address = gateway.address("https");
    let (asked, other) = (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    );
    let tls = Tls::new(HOST, &own);
    let shaken = Handshake::make(address, &tls.clone().tls12(), HOST).await.unwrap();
    assert_eq!(shaken.suite.unwrap().suite(), asked);
    let refused = tls.clone().tls12().suites(&[other]);
    assert!(Handshake::make(address, &refused, HOST).await.is_err());
    assert_eq!(Handshake::make(address, &tls.tls13(), HOST).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_staple_of_the_secret_is_sent() {
    let (blue, own) = (Upstream::start("blue"), Certificates::for_hosts(&[HOST]));
    let stapled = tls_secret_with("cert", &own, &[("tls.ocsp-staple", "0\u{5}reply")]);
    let gateway = open(&blue, "mode: SIMPLE, credentialName: cert", &[stapled]).await;
    for tls in [Tls::new(HOST, &own).tls12(), Tls::new(HOST, &own).tls13()] {
        let shaken = Handshake::make(gateway.address("https"), &tls, HOST).await.unwrap();
        assert_eq!(shaken.staple, b"0\x05reply");
    }
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_refused_and_the_old_one_serves() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let (own, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
    let fields = "mode: SIMPLE, credentialName: cert";
    let servers = [tls_server("https", 443, &["*"], fields)];
    let mut gateway =
        Gateway::start(&all_to_blue(&blue, &servers, &[tls_secret_with("cert", &own, &[])])).await;
    let mixed = secret("cert", &[("tls.crt", &other.chain_pem), ("tls.key", &own.key_pem)]);
    gateway.write(&all_to_blue(&blue, &servers, &[mixed]));
    gateway.wait_for_log("PC0215").await;
    let tls = Tls::new(HOST, &own);
    let shaken = Handshake::make(gateway.address("https"), &tls, HOST).await.unwrap();
    assert_eq!(shaken.certificate, own.leaf_der);
}

#[tokio::test]
async fn certificates_in_files_are_renewed_without_a_failed_handshake() {
    let (blue, authority) = (Upstream::start("blue"), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    // Both files of a pair change at once, as Kubernetes changes those of a Secret.
    let put = |own: &Certificates, version: u32| {
        let folder = directory.path().join(format!("..{version}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("c.pem"), &own.chain_pem).unwrap();
        std::fs::write(folder.join("k.pem"), &own.key_pem).unwrap();
        let link = directory.path().join("..new");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        std::fs::rename(link, directory.path().join("..data")).unwrap();
    };
    let mut own = authority.issue(&[HOST]);
    put(&own, 0);
    let path = directory.path().join("..data");
    let fields = format!(
        "mode: SIMPLE, serverCertificate: {0}/c.pem, privateKey: {0}/k.pem",
        path.display()
    );
    let mut gateway = open(&blue, &fields, &[]).await;
    let address = gateway.address("https");
    let tls = Tls::new(HOST, &own);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let steady = tls.clone();
    let clients = tokio::spawn(async move {
        let mut made = 0;
        while !*stopped.borrow() {
            let shaken = Handshake::make(address, &steady, HOST).await;
            assert_eq!(shaken.expect("a handshake failed").status, 200);
            made += 1;
        }
        made
    });
    for version in 1..=5 {
        own = authority.issue(&[HOST]);
        put(&own, version);
        gateway.wait_for_generation().await;
        let shaken = Handshake::make(address, &tls, HOST).await.unwrap();
        assert_eq!(shaken.certificate, own.leaf_der);
    }
    stop.send(true).unwrap();
    assert!(clients.await.unwrap() > 0);
}
