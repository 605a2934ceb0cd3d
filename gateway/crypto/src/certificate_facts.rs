//! What a certificate says, in the forms in which headers, logs and policies speak of it.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::distinguished_name::rfc2253;
use crate::{hex, sha256};

/// What a certificate says of its holder. Names hold printable ASCII alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The subject as RFC 2253 writes it, the way OpenSSL and Envoy do.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// URIs among the subject alternative names, such as a SPIFFE identity.
    pub uris: Vec<String>,
    /// DNS names among them.
    pub dns_names: Vec<String>,
    /// E-mail addresses among them.
    pub emails: Vec<String>,
    /// IP addresses among them.
    pub addresses: Vec<std::net::IpAddr>,
    /// SHA-256 of the DER in lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the DER of the public key with its algorithm (`SubjectPublicKeyInfo`).
    pub spki_sha256: [u8; 32],
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: i64,
    /// When it ends.
    pub not_after: i64,
}

/// Why a certificate cannot be spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no X.509 certificate in DER.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// A name holds NUL, a control byte or anything outside ASCII: two readers may see two names.
    #[error("a name in the certificate holds bytes that no name may hold")]
    Name,
}

impl CertificateFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// It does not parse, or a subject alternative name could be read in two ways.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        if !rest.is_empty() {
            return Err(CertificateError::Unreadable);
        }
        let mut facts = CertificateFacts {
            subject: rfc2253(certificate.subject()),
            issuer: rfc2253(certificate.issuer()),
            serial: serial(certificate.raw_serial()),
            uris: Vec::new(),
            dns_names: Vec::new(),
            emails: Vec::new(),
            addresses: Vec::new(),
            sha256: hex(&sha256(der)),
            spki_sha256: sha256(certificate.public_key().raw),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        };
        facts.read_names(&certificate)?;
        Ok(facts)
    }

    /// Whether it is valid at a time, in seconds since 1970.
    pub fn is_valid_at(&self, seconds: i64) -> bool {
        (self.not_before..=self.not_after).contains(&seconds)
    }

    fn read_names(&mut self, certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
        for extension in certificate.extensions() {
            let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension()
            else {
                continue;
            };
            for name in &names.general_names {
                self.read_name(name)?;
            }
        }
        Ok(())
    }

    fn read_name(&mut self, name: &GeneralName<'_>) -> Result<(), CertificateError> {
        match name {
            GeneralName::URI(uri) => self.uris.push(printable(uri)?),
            GeneralName::DNSName(dns) => self.dns_names.push(printable(dns)?),
            GeneralName::RFC822Name(email) => self.emails.push(printable(email)?),
            GeneralName::IPAddress(bytes) => self.addresses.extend(address(bytes)),
            GeneralName::Invalid(..) => return Err(CertificateError::Unreadable),
            _ => {}
        }
        Ok(())
    }
}

/// A name as it is, provided that nothing in it can be read in two ways.
fn printable(name: &str) -> Result<String, CertificateError> {
    match name.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(name.to_owned()),
        false => Err(CertificateError::Name),
    }
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(Into::into);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into)).ok()
}

/// Without the zero byte that keeps a number positive in DER.
fn serial(raw: &[u8]) -> String {
    let number = match raw {
        [0, rest @ ..] if !rest.is_empty() => rest,
        raw => raw,
    };
    let mut text = String::with_capacity(number.len() * 2);
    for byte in number {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
