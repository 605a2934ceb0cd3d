//! What a Gateway's server asks of its clients' certificates.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::{Demand, PeerRules};

use crate::kinds::gateway_tls_settings::{
    AuthoritySource, ClientRules, TlsMode, named_file, secret_name,
};
use crate::reader::{Cursor, Fields};
use crate::report::Gravity;

/// Fields that mean something only where clients are verified.
const OF_CLIENTS: [&str; 6] = [
    "caCertificates",
    "caCrl",
    "caCertCredentialName",
    "subjectAltNames",
    "verifyCertificateSpki",
    "verifyCertificateHash",
];

/// Reads what is asked; `None` where the mode asks nothing.
pub(super) fn read_clients(
    tls: &Fields<'_>,
    mode: TlsMode,
    namespace: &Arc<str>,
) -> Option<ClientRules> {
    let demand = match mode {
        TlsMode::Mutual | TlsMode::IstioMutual => Demand::Required,
        TlsMode::OptionalMutual => Demand::Optional,
        TlsMode::Simple | TlsMode::Passthrough | TlsMode::AutoPassthrough => {
            warn_of_unasked(tls);
            return None;
        }
    };
    let origin = tls.field("mode").map_or_else(|| tls.cursor().origin(), |mode| mode.origin());
    Some(ClientRules {
        demand,
        authorities: read_authorities(tls, namespace),
        rules: PeerRules {
            subject_alt_names: read_names(tls),
            spki_sha256: read_pins(tls, "verifyCertificateSpki", spki_pin),
            certificate_sha256: read_pins(tls, "verifyCertificateHash", certificate_pin),
        },
        origin,
    })
}

fn warn_of_unasked(tls: &Fields<'_>) {
    for field in OF_CLIENTS.iter().filter_map(|name| tls.field(name)) {
        field.not_served(
            Gravity::Warns,
            "this has no effect in a mode that asks clients for no certificate",
            "write `mode: MUTUAL` or OPTIONAL_MUTUAL, or remove it",
        );
    }
}

fn read_authorities(tls: &Fields<'_>, namespace: &Arc<str>) -> AuthoritySource {
    let revocations = tls.field("caCrl");
    let secret = tls.field("caCertCredentialName");
    let authorities = tls.field("caCertificates");
    if let Some(revocations) =
        revocations.as_ref().filter(|_| secret.is_some() || authorities.is_none())
    {
        let message = "`caCrl` goes with `caCertificates` alone";
        revocations.refuse(message, "put the revocation list into the Secret, as ca.crl");
    }
    if let Some(name) =
        secret.and_then(|field| secret_name(&field, "caCertCredentialName".into(), namespace))
    {
        return AuthoritySource::Secret(name);
    }
    let authorities = authorities.and_then(|field| named_file(&field, "caCertificates".into()));
    match authorities {
        Some(authorities) => AuthoritySource::Files {
            authorities,
            revocations: revocations.and_then(|field| named_file(&field, "caCrl".into())),
        },
        None => AuthoritySource::BesideCertificate,
    }
}

fn read_names(tls: &Fields<'_>) -> Vec<Box<str>> {
    let Some(field) = tls.field("subjectAltNames") else { return Vec::new() };
    let mut names = Vec::new();
    for item in field.items() {
        match item.text() {
            Some(text) if text.is_empty() || text.bytes().any(|b| !b.is_ascii_graphic()) => {
                item.refuse(
                    "no certificate can have this name",
                    "write a URI, a DNS name, an IP or e-mail address",
                );
            }
            Some(text) => names.push(text.into()),
            None => {}
        }
    }
    names
}

fn read_pins(
    tls: &Fields<'_>,
    name: &str,
    read: impl Fn(&Cursor<'_>) -> Option<[u8; 32]>,
) -> Vec<[u8; 32]> {
    let Some(field) = tls.field(name) else { return Vec::new() };
    field.items().filter_map(|item| read(&item)).collect()
}

fn spki_pin(cursor: &Cursor<'_>) -> Option<[u8; 32]> {
    let pin = STANDARD.decode(cursor.text()?).ok().and_then(|bytes| bytes.try_into().ok());
    if pin.is_none() {
        cursor.refuse(
            "this is no SHA-256 in base64",
            "write the base64 of the SHA-256 of the public key (SubjectPublicKeyInfo) in DER",
        );
    }
    pin
}

/// 64 hexadecimal digits, or 32 pairs of them with colons between.
fn certificate_pin(cursor: &Cursor<'_>) -> Option<[u8; 32]> {
    let pin = read_hex(cursor.text()?);
    if pin.is_none() {
        cursor.refuse(
            "this is no SHA-256 in hexadecimal",
            "write 64 digits, or 32 pairs of digits with colons between them",
        );
    }
    pin
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let digits: String = match text.contains(':') {
        true if text.split(':').all(|pair| pair.len() == 2) => text.split(':').collect(),
        true => return None,
        false => text.to_owned(),
    };
    let mut bytes = Vec::with_capacity(32);
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (pair, others) = rest.split_at_checked(2)?;
        if !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
        rest = others;
    }
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_with_colons_or_without() {
        let plain = "0aff".repeat(16);
        let pairs: Vec<&str> = std::iter::repeat_n(["0A", "ff"], 16).flatten().collect();
        assert_eq!(read_hex(&plain), read_hex(&pairs.join(":")));
        assert_eq!(read_hex(&plain).unwrap()[..2], [0x0a, 0xff]);
        for bad in ["", "0a", &plain[1..], &format!("{plain}00"), &plain.replace("0a", "+1"), "é"]
        {
            assert_eq!(read_hex(bad), None, "{bad}");
        }
    }
}
