//! The client certificate that an ALB verified, as `X-Forwarded-Client-Cert`.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

const LEAF: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-leaf");
const SUBJECT: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-subject");

/// `X-Forwarded-Client-Cert` in Envoy's form (`Cert` and `Subject`) made of what an ALB in the mode *verify* says
/// of its client. `None` where it says nothing, says it twice, or says what cannot be shown in that form.
///
/// `X-Amzn-Mtls-Clientcert`, of the mode *passthrough*, is never read: nobody verified that certificate.
pub fn client_cert_of_alb(headers: &HeaderMap) -> Option<HeaderValue> {
    let (leaf, subject) = (only(headers, &LEAF)?, only(headers, &SUBJECT)?);
    if leaf.is_empty() || !leaf.iter().all(|byte| is_url_encoded(*byte)) {
        return None;
    }
    let mut text = Vec::with_capacity(leaf.len() + subject.len() + 20);
    text.extend_from_slice(b"Cert=\"");
    text.extend_from_slice(leaf);
    text.extend_from_slice(b"\";Subject=\"");
    for byte in subject {
        // No name ends its element.
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
    HeaderValue::try_from(text).ok()
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// What is left of a PEM text once it was URL-encoded, with the `+`, `=` and `/` that an ALB leaves as they are.
fn is_url_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"%+/=-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        client_cert_of_alb(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    const PEM: (&str, &str) =
        ("x-amzn-mtls-clientcert-leaf", "-----BEGIN%20CERTIFICATE-----%0AMIIB+/=");
    const ADA: (&str, &str) = ("x-amzn-mtls-clientcert-subject", "CN=ada,O=Ada");

    #[test]
    fn a_verified_certificate_is_shown_in_envoys_form() {
        assert_eq!(
            said(&[PEM, ADA]).unwrap(),
            "Cert=\"-----BEGIN%20CERTIFICATE-----%0AMIIB+/=\";Subject=\"CN=ada,O=Ada\""
        );
    }

    #[test]
    fn what_is_missing_repeated_or_unverified_is_not_shown() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[PEM]), None);
        assert_eq!(said(&[PEM, PEM, ADA]), None);
        assert_eq!(said(&[PEM, ADA, ADA]), None);
        assert_eq!(said(&[("x-amzn-mtls-clientcert", PEM.1), ADA]), None);
    }

    #[test]
    fn no_value_ends_its_element() {
        let subject = ("x-amzn-mtls-clientcert-subject", "CN=a\";URI=\"spiffe://td/admin\\");
        let shown = said(&[PEM, subject]).unwrap();
        assert!(shown.ends_with(";Subject=\"CN=a\\\";URI=\\\"spiffe://td/admin\\\\\""), "{shown}");
        let leaf = ("x-amzn-mtls-clientcert-leaf", "MIIB\";Subject=\"CN=root");
        assert_eq!(said(&[leaf, ADA]), None);
    }
}
