//! `CertificateFacts::read`: a certificate in DER, as a client may present one; and the header that tells of it.

use portcullis_crypto::CertificateFacts;
use portcullis_exchange::forwarded_client_cert;
use rustls_pki_types::CertificateDer;

/// What is said of a certificate is printable ASCII, and no name ends its element of the header.
pub(crate) fn run(input: &[u8]) {
    let Ok(facts) = CertificateFacts::read(&CertificateDer::from(input)) else { return };
    let names = facts.uris.iter().chain(&facts.dns_names).chain(&facts.emails);
    for text in names.chain([&facts.subject, &facts.issuer]) {
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
    }
    let Some(header) = forwarded_client_cert(None, &facts) else {
        panic!("no header for {facts:?}");
    };
    let elements = 2 + facts.uris.len().max(1) + facts.dns_names.len();
    assert_eq!(count_elements(header.as_bytes()), elements, "{header:?}");
}

/// Elements as a reader counts them who knows quotes and escapes.
fn count_elements(header: &[u8]) -> usize {
    let (mut quoted, mut escaped, mut count) = (false, false, 1);
    for byte in header {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' | b',' if !quoted => count += 1,
            _ => {}
        }
    }
    assert!(!quoted, "a quote is left open");
    count
}
