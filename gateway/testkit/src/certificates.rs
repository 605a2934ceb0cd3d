//! Certificates made for one test.

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SanType, SerialNumber,
    date_time_ymd,
};

/// A certificate authority that exists for one test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate chain and its key in PEM, with the authority that vouches for it.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The chain, the leaf first.
    pub chain_pem: String,
    /// The private key (PKCS#8).
    pub key_pem: String,
    /// The authority's certificate.
    pub ca_pem: String,
    /// The leaf in DER, to recognise it in a handshake.
    pub leaf_der: Vec<u8>,
}

impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Testkit authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Authority { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// A certificate for these DNS names (`*.example.com` too) and IP addresses.
    pub fn issue(&self, hosts: &[&str]) -> Certificates {
        self.issue_to(&Subject::new(hosts))
    }

    /// A certificate for whomever.
    pub fn issue_to(&self, subject: &Subject) -> Certificates {
        let names: Vec<String> = subject.hosts.clone();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.common_name.as_str());
        for uri in &subject.uris {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(subject.serial));
        // All authorities here have one name: this tells who of them has signed.
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(subject.last_year, 1, 1);
        let key = match subject.key {
            KeyKind::Ecdsa => KeyPair::generate().unwrap(),
            KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        };
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Certificates {
            chain_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            ca_pem: self.issuer.pem(),
            leaf_der: leaf.der().to_vec(),
        }
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A list that revokes the certificates with these serial numbers.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Whom a certificate is for.
#[derive(Clone, Debug)]
pub struct Subject {
    hosts: Vec<String>,
    common_name: String,
    uris: Vec<String>,
    serial: u64,
    last_year: i32,
    key: KeyKind,
}

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// P-256
    Ecdsa,
    /// 2048 bits
    Rsa,
}

impl Subject {
    /// With these DNS names and IP addresses; the first is its common name too.
    pub fn new(hosts: &[&str]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1000);
        Subject {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            common_name: hosts.first().copied().unwrap_or_default().to_owned(),
            uris: Vec::new(),
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            last_year: 2060,
            key: KeyKind::Ecdsa,
        }
    }

    /// With a URI.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.uris.push(uri.to_owned());
        self
    }

    /// With another common name.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.common_name);
        self
    }

    /// With this serial number.
    #[must_use]
    pub fn serial(mut self, serial: u64) -> Self {
        self.serial = serial;
        self
    }

    /// Out of date for years.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.last_year = 2021;
        self
    }

    /// With a key of this kind.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl Certificates {
    /// A certificate for these hosts from an authority of its own.
    pub fn for_hosts(hosts: &[&str]) -> Self {
        Authority::new().issue(hosts)
    }
}

impl Certificates {
    /// A certificate for these hosts that only itself vouches for.
    pub fn self_signed(hosts: &[&str]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(hosts).unwrap();
        Certificates {
            chain_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            ca_pem: made.cert.pem(),
            leaf_der: made.cert.der().to_vec(),
        }
    }
}

/// SHA-256, as certificates are pinned by it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    sum.as_ref().try_into().unwrap()
}
