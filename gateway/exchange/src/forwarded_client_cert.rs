//! `X-Forwarded-Client-Cert`, by which an upstream learns who the client is, in Envoy's form.

use http::HeaderValue;
use portcullis_crypto::CertificateFacts;

/// The value for a client with a verified certificate: `By` (URIs of our own certificate), `Hash`, `Subject`,
/// `URI`, `DNS`, as Istio's gateways set it. `Subject` and `URI` stand there even when empty.
pub fn forwarded_client_cert(
    local: Option<&CertificateFacts>,
    peer: &CertificateFacts,
) -> Option<HeaderValue> {
    let mut text = String::new();
    for uri in local.map_or(&[][..], |local| &local.uris) {
        push(&mut text, "By", uri);
    }
    push(&mut text, "Hash", &peer.sha256);
    // RFC 2253 has escaped its quotes and backslashes; Envoy takes it as it is, too.
    begin(&mut text, "Subject");
    text.extend(["\"", &peer.subject, "\""]);
    if peer.uris.is_empty() {
        push(&mut text, "URI", "");
    }
    for uri in &peer.uris {
        push(&mut text, "URI", uri);
    }
    for name in &peer.dns_names {
        push(&mut text, "DNS", name);
    }
    HeaderValue::try_from(text).ok()
}

/// A value with a separator in it is quoted, so that no name can end its element and begin another.
fn push(text: &mut String, key: &str, value: &str) {
    if value.contains([',', ';', '=', '"', '\\']) {
        push_quoted(text, key, value);
    } else {
        begin(text, key);
        text.push_str(value);
    }
}

fn push_quoted(text: &mut String, key: &str, value: &str) {
    begin(text, key);
    text.push('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
}

fn begin(text: &mut String, key: &str) {
    if !text.is_empty() {
        text.push(';');
    }
    text.push_str(key);
    text.push('=');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(subject: &str, uris: &[&str], dns: &[&str]) -> CertificateFacts {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        CertificateFacts {
            subject: subject.into(),
            issuer: String::new(),
            serial: "01".into(),
            uris: owned(uris),
            dns_names: owned(dns),
            emails: Vec::new(),
            addresses: Vec::new(),
            sha256: "ab12".into(),
            spki_sha256: [0; 32],
            not_before: 0,
            not_after: 0,
        }
    }

    #[test]
    fn the_elements_stand_in_envoys_order() {
        let local = facts("", &["spiffe://td/gw"], &[]);
        let peer = facts("CN=ada,O=Ada\\, Inc", &["spiffe://td/ada", "urn:x"], &["ada.example"]);
        assert_eq!(
            forwarded_client_cert(Some(&local), &peer).unwrap(),
            "By=spiffe://td/gw;Hash=ab12;Subject=\"CN=ada,O=Ada\\, Inc\";URI=spiffe://td/ada;URI=urn:x;DNS=ada.example"
        );
        let bare = facts("", &[], &[]);
        assert_eq!(forwarded_client_cert(None, &bare).unwrap(), "Hash=ab12;Subject=\"\";URI=");
    }

    #[test]
    fn no_name_ends_its_element() {
        let peer = facts(
            "CN=a\\\"\\;URI=x",
            &["urn:a;URI=spiffe://td/admin", "urn:a,Hash=ff", "urn:\\"],
            &["a\";By=x"],
        );
        assert_eq!(
            forwarded_client_cert(None, &peer).unwrap(),
            "Hash=ab12;Subject=\"CN=a\\\"\\;URI=x\";URI=\"urn:a;URI=spiffe://td/admin\";URI=\"urn:a,Hash=ff\";URI=\"urn:\\\\\";DNS=\"a\\\";By=x\""
        );
    }
}
