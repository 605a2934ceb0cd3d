//! Certificates made for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
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
    /// The private key (PKCS#8, P-256).
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
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, hosts[0]);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Certificates {
            chain_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            ca_pem: self.issuer.pem(),
            leaf_der: leaf.der().to_vec(),
        }
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
