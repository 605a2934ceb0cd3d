//! Client certificates, good and bad, as the verifier and its rules see them.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::{
    CertificateError, CertificateFacts, ClientVerification, Demand, PeerRules, TrustAnchors,
    TrustError, sha256,
};

const SPIFFE: &str = "spiffe://cluster.local/ns/a/sa/b";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn client(issuer: &Issuer, serial: u64, names: Vec<SanType>) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Ada, \"Inc\"");
    params.distinguished_name.push(DnType::CommonName, "ada");
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = names;
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

fn names() -> Vec<SanType> {
    vec![
        SanType::URI(SPIFFE.try_into().unwrap()),
        SanType::DnsName("Ada.example.com".try_into().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
    ]
}

fn revoking(issuer: &Issuer, serial: u64, next_update: i32) -> String {
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(next_update, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

fn verification(
    issuer: &Issuer,
    revocations: Option<&str>,
    rules: PeerRules,
) -> ClientVerification {
    let revocations = revocations.map(str::as_bytes);
    ClientVerification {
        anchors: TrustAnchors::from_pem(issuer.pem().as_bytes(), revocations).unwrap(),
        rules,
        demand: Demand::Required,
    }
}

/// 2026-01-01
fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600))
}

fn admits(verification: &ClientVerification, certificate: &CertificateDer<'_>) -> bool {
    verification.verifier().unwrap().verify_client_cert(certificate, &[], now()).is_ok()
}

#[test]
fn a_certificate_is_read_as_envoy_writes_it() {
    let facts = CertificateFacts::read(&client(&authority(), 0x00ff_0102, names())).unwrap();
    assert_eq!(facts.subject, "CN=ada,O=Ada\\, \\\"Inc\\\"");
    assert_eq!(facts.serial, "ff0102");
    assert_eq!(
        (facts.uris, facts.dns_names),
        (vec![SPIFFE.into()], vec!["Ada.example.com".into()])
    );
    assert!(facts.not_before < facts.not_after);
}

#[test]
fn only_who_is_vouched_for_is_let_in() {
    let (ours, theirs) = (authority(), authority());
    let verification = verification(&ours, None, PeerRules::default());
    assert!(admits(&verification, &client(&ours, 1, names())));
    assert!(!admits(&verification, &client(&theirs, 1, names())));
    assert!(!admits(&verification, &CertificateDer::from(vec![0x30, 0])));
}

#[test]
fn a_name_with_a_nul_is_refused_whatever_is_asked() {
    let issuer = authority();
    for name in ["good.example.com\0.evil.example", "a b", "a\r\nx-admin: 1"] {
        let names = vec![SanType::DnsName(name.try_into().unwrap())];
        let certificate = client(&issuer, 1, names);
        assert_eq!(CertificateFacts::read(&certificate), Err(CertificateError::Name), "{name:?}");
        assert!(!admits(&verification(&issuer, None, PeerRules::default()), &certificate));
    }
}

#[test]
fn names_are_held_against_the_list_exactly() {
    let issuer = authority();
    let certificate = client(&issuer, 1, names());
    let wildcard = client(&issuer, 1, vec![SanType::DnsName("*.example.com".try_into().unwrap())]);
    let admitted = |wanted: &str, certificate| {
        let rules = PeerRules { subject_alt_names: vec![wanted.into()], ..PeerRules::default() };
        admits(&verification(&issuer, None, rules), certificate)
    };
    for wanted in [SPIFFE, "ada.example.com", "2001:db8:0::1"] {
        assert!(admitted(wanted, &certificate), "{wanted}");
    }
    for wanted in ["spiffe://cluster.local/ns/a/sa", "example.com", "2001:db8::2", "ada"] {
        assert!(!admitted(wanted, &certificate), "{wanted}");
    }
    assert!(!admitted("ada.example.com", &wildcard));
}

#[test]
fn either_pin_is_enough_and_no_other_certificate_has_it() {
    let issuer = authority();
    let (pinned, other) = (client(&issuer, 1, names()), client(&issuer, 2, names()));
    let whole = sha256(&pinned);
    let spki = CertificateFacts::read(&pinned).unwrap().spki_sha256;
    for (spki_sha256, certificate_sha256) in
        [(vec![spki], vec![]), (vec![], vec![whole]), (vec![[0; 32]], vec![whole])]
    {
        let rules = PeerRules { spki_sha256, certificate_sha256, subject_alt_names: Vec::new() };
        let verification = verification(&issuer, None, rules);
        assert!(admits(&verification, &pinned));
        assert!(!admits(&verification, &other));
    }
}

#[test]
fn the_revoked_are_refused_and_so_is_everybody_once_the_list_is_out_of_date() {
    let issuer = authority();
    let (good, revoked) = (client(&issuer, 1, names()), client(&issuer, 2, names()));
    let list = revoking(&issuer, 2, 2030);
    let current = verification(&issuer, Some(&list), PeerRules::default());
    assert!(admits(&current, &good));
    assert!(!admits(&current, &revoked));
    let old = revoking(&issuer, 2, 2025);
    let outdated = verification(&issuer, Some(&old), PeerRules::default());
    assert!(!admits(&outdated, &good));
}

#[test]
fn a_revoked_intermediate_takes_its_clients_along() {
    let root = authority();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(7));
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root);
    let intermediate: Issuer = intermediate.unwrap();
    let certificate = client(&intermediate, 1, names());
    let admitted = |lists: &[String]| {
        let anchors =
            TrustAnchors::from_pem(root.pem().as_bytes(), Some(lists.concat().as_bytes()));
        let verification = ClientVerification {
            anchors: anchors.unwrap(),
            rules: PeerRules::default(),
            demand: Demand::Required,
        };
        let verifier = verification.verifier().unwrap();
        verifier.verify_client_cert(&certificate, &[intermediate.der().clone()], now()).is_ok()
    };
    let of_intermediate = revoking(&intermediate, 99, 2030);
    assert!(admitted(std::slice::from_ref(&of_intermediate)), "the root needs no list");
    assert!(!admitted(&[of_intermediate, revoking(&root, 7, 2030)]));
    assert!(!admitted(&[revoking(&root, 99, 2030)]), "nothing is known of the leaf");
}

#[test]
fn anchors_are_whole_or_refused() {
    let pem = authority().pem();
    let anchors = |authorities: &str, lists: Option<&str>| {
        TrustAnchors::from_pem(authorities.as_bytes(), lists.map(str::as_bytes)).map(drop)
    };
    assert_eq!(anchors(&pem, None), Ok(()));
    assert!(matches!(anchors("", None), Err(TrustError::Authority(_))));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(anchors(&(pem.clone() + broken), None), Err(TrustError::Authority(_))));
    assert!(matches!(anchors(&pem, Some("")), Err(TrustError::Revocations(_))));
    let broken = broken.replace("CERTIFICATE", "X509 CRL");
    assert!(matches!(anchors(&pem, Some(&broken)), Err(TrustError::Revocations(_))));
}

#[test]
fn whatever_is_asked_of_clients_tells_verifications_apart() {
    let (first, second) = (authority(), authority());
    let plain = verification(&first, None, PeerRules::default());
    let optional = ClientVerification { demand: Demand::Optional, ..plain.clone() };
    let list = revoking(&first, 1, 2030);
    let pinned = PeerRules { spki_sha256: vec![[1; 32]], ..PeerRules::default() };
    let others = [
        optional,
        verification(&second, None, PeerRules::default()),
        verification(&first, Some(&list), PeerRules::default()),
        verification(&first, None, pinned),
    ];
    for other in &others {
        assert_ne!(plain.fingerprint(), other.fingerprint());
        assert_ne!(&plain, other);
    }
    assert_eq!(plain.fingerprint(), plain.clone().fingerprint());
}
