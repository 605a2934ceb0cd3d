//! Servers' certificates, good and bad, and what is said of the bad ones.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{ServerNames, ServerVerification, TrustAnchors, handshake_failure};

const SPIFFE: &str = "spiffe://cluster.local/ns/shop/sa/reviews";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    issuer_named("mesh")
}

fn issuer_named(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: &[&str], last_year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from(7));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    for name in names {
        params.subject_alt_names.push(match name.contains("://") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        });
    }
    params
}

fn server(issuer: &Issuer, names: &[&str]) -> CertificateDer<'static> {
    let signed = params(names, 2030).signed_by(&KeyPair::generate().unwrap(), issuer);
    signed.unwrap().der().clone()
}

fn list(issuer: &Issuer, serial: u64, last_year: i32) -> String {
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(last_year, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

fn trusting(issuer: &Issuer, list: Option<&str>, names: ServerNames) -> ServerVerification {
    let anchors = TrustAnchors::from_pem(issuer.pem().as_bytes(), list.map(str::as_bytes));
    ServerVerification::Verified { anchors: anchors.unwrap(), names }
}

fn one_of(names: &[&str]) -> ServerNames {
    ServerNames::OneOf(names.iter().map(|name| (*name).into()).collect())
}

/// What is said of a certificate, asked for as `a.shop.example` on 2026-01-01.
fn judge(verification: &ServerVerification, der: &CertificateDer<'_>) -> Result<(), String> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600));
    let asked = ServerName::try_from("a.shop.example").unwrap();
    let verifier = verification.verifier().unwrap();
    let verified = verifier.verify_server_cert(der, &[], &asked, &[], now);
    verified.map(drop).map_err(|error| handshake_failure(&error))
}

#[test]
fn the_name_asked_for_is_what_counts_unless_others_are_named() {
    let issuer = authority();
    let plain = server(&issuer, &["a.shop.example"]);
    let wide = server(&issuer, &["*.shop.example", SPIFFE]);
    let asked = trusting(&issuer, None, ServerNames::Asked);
    assert_eq!(judge(&asked, &plain), Ok(()));
    assert_eq!(judge(&asked, &wide), Ok(()));
    let named = trusting(&issuer, None, one_of(&["other.example", SPIFFE]));
    assert_eq!(judge(&named, &wide), Ok(()));
    let why = "certificate has the wrong name: wanted other.example, spiffe://cluster.local/ns/shop/sa/reviews, found a.shop.example";
    assert_eq!(judge(&named, &plain), Err(why.to_owned()));
}

#[test]
fn in_a_mesh_there_is_one_identity() {
    let issuer = authority();
    let mesh = trusting(&issuer, None, ServerNames::AnySpiffe);
    assert_eq!(judge(&mesh, &server(&issuer, &[SPIFFE])), Ok(()));
    for names in [&["a.shop.example"][..], &[SPIFFE, "spiffe://other/x"], &["spiffe:///x"], &[]] {
        let why = judge(&mesh, &server(&issuer, names)).unwrap_err();
        assert!(why.starts_with("certificate has the wrong name: wanted one SPIFFE"), "{why}");
    }
}

#[test]
fn every_refusal_names_its_reason() {
    let issuer = authority();
    let asked = trusting(&issuer, None, ServerNames::Asked);
    for (stranger, shown) in [("other", "O=other"), ("mesh", "O=mesh, with another key")] {
        let certificate = server(&issuer_named(stranger), &["a.shop.example"]);
        let expected = format!("certificate of an unknown authority ({shown})");
        assert_eq!(judge(&asked, &certificate).unwrap_err(), expected);
    }
    let key = KeyPair::generate().unwrap();
    let expired = params(&["a.shop.example"], 2024).signed_by(&key, &issuer).unwrap();
    assert_eq!(judge(&asked, expired.der()).unwrap_err(), "certificate expired on 2024-01-01");
    let mut early = params(&["a.shop.example"], 2040);
    early.not_before = date_time_ymd(2035, 6, 7);
    let early = early.signed_by(&key, &issuer).unwrap();
    assert_eq!(
        judge(&asked, early.der()).unwrap_err(),
        "certificate is not valid before 2035-06-07"
    );
    let alone = params(&["a.shop.example"], 2030).self_signed(&key).unwrap();
    assert!(judge(&asked, alone.der()).unwrap_err().starts_with("self-signed certificate"));
    let mut of_clients = params(&["a.shop.example"], 2030);
    of_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let of_clients = of_clients.signed_by(&key, &issuer).unwrap();
    assert_eq!(judge(&asked, of_clients.der()).unwrap_err(), "certificate is not for servers");
    assert!(judge(&asked, &CertificateDer::from(vec![0x30, 0])).is_err());
}

#[test]
fn revocation_lists_are_heeded_and_have_to_be_in_force() {
    let issuer = authority();
    let certificate = server(&issuer, &["a.shop.example"]);
    let judged =
        |list: &str| judge(&trusting(&issuer, Some(list), ServerNames::Asked), &certificate);
    assert_eq!(judged(&list(&issuer, 8, 2030)), Ok(()));
    assert_eq!(judged(&list(&issuer, 7, 2030)).unwrap_err(), "certificate revoked (07)");
    assert_eq!(judged(&list(&issuer, 8, 2025)).unwrap_err(), "revocation list out of date");
    let why = judged(&list(&authority(), 8, 2030));
    assert!(why.is_err(), "nothing is known of the issuer");
}

#[test]
fn names_are_not_looked_at_before_the_path() {
    let (issuer, stranger) = (authority(), authority());
    for names in [ServerNames::Asked, one_of(&[SPIFFE]), ServerNames::AnySpiffe] {
        let verification = trusting(&issuer, None, names);
        let why = judge(&verification, &server(&stranger, &["evil.example"])).unwrap_err();
        assert!(!why.contains("wrong name"), "{why}");
    }
}

#[test]
fn whoever_is_trusted_by_nobody_passes_where_nobody_is_asked_for() {
    assert_eq!(judge(&ServerVerification::Nobody, &server(&authority(), &[])), Ok(()));
}

#[test]
fn a_bundle_may_hold_what_cannot_be_used_but_not_that_alone() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let both = format!("{broken}{}", authority().pem());
    assert!(TrustAnchors::from_bundle(both.as_bytes()).is_ok());
    assert!(TrustAnchors::from_bundle(broken.as_bytes()).is_err());
}
