//! The testkit's TLS client against a bare TLS server with the testkit's certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_testkit::{Authority, Certificates, Client, Tls};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server that shakes hands and then keeps silent.
async fn tls_server(certificates: &Certificates) -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(certificates.chain_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificates.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(acceptor.accept(stream).await);
        }
    });
    address
}

#[tokio::test]
async fn handshakes_check_name_and_authority() {
    let authority = Authority::new();
    let certificates = authority.issue(&["shop.example"]);
    let address = tls_server(&certificates).await;
    let trusting = Tls::new("shop.example", &certificates);
    let client = Client::tls(address, &trusting).await.unwrap();
    assert_eq!(client.protocol(), Some("http/1.1"));
    assert_eq!(client.certificate(), Some(&*certificates.leaf_der));
    let client = Client::tls(address, &trusting.clone().http2().tls12()).await.unwrap();
    assert_eq!(client.protocol(), Some("h2"));
    assert!(Client::tls(address, &Tls::new("other.example", &certificates)).await.is_err());
    let stranger = Certificates::for_hosts(&["shop.example"]);
    assert!(Client::tls(address, &Tls::new("shop.example", &stranger)).await.is_err());
}
