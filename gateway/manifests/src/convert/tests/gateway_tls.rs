//! How TLS ends at a Gateway's servers: certificates, clients, versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::{Demand, TlsVersions};
use portcullis_message::HeadRules;
use portcullis_model::{ClientAuth, TlsSettings};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SerialNumber,
    date_time_ymd,
};

use super::{Conversion, convert, convert_after, only_problem, problems};
use crate::convert::{Joints, Premises, into_model_with};
use crate::{CertificateFiles, Draft, Memory, SourceFile};

/// A Gateway with one HTTPS server whose `tls` is this.
fn gateway(tls: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\nspec:\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    hosts: ['*']\n    tls: {{{tls}}}\n"
    )
}

/// A Secret of these entries.
fn secret(name: &str, entries: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: edge}}\ndata:\n"
    );
    for (key, value) in entries {
        text += &format!("  {key}: {}\n", STANDARD.encode(value));
    }
    text
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn revocations(issuer: &CertifiedIssuer<'static, KeyPair>) -> String {
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2040, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

fn tls(conversion: &Conversion) -> &TlsSettings {
    conversion.model.listeners[0].tls.as_ref().unwrap()
}

/// The Secret `cert` with these entries beside its certificate.
fn with_certificate(more: &[(&str, &str)]) -> String {
    let (chain, key) = pair();
    let mut entries = vec![("tls.crt", chain.as_str()), ("tls.key", key.as_str())];
    entries.extend_from_slice(more);
    secret("cert", &entries)
}

/// What `tls` comes to beside a good Secret `cert` with a CA.
fn read(fields: &str) -> Conversion {
    let ca = issuer();
    let secret = with_certificate(&[("ca.crt", &ca.pem())]);
    convert(&[("gw.yaml", &gateway(fields)), ("s.yaml", &secret)])
}

#[test]
fn each_mode_asks_its_clients_what_it_should() {
    for (mode, demand) in [
        ("SIMPLE", None),
        ("MUTUAL", Some(Demand::Required)),
        ("OPTIONAL_MUTUAL", Some(Demand::Optional)),
    ] {
        let conversion = read(&format!("mode: {mode}, credentialName: cert"));
        assert_eq!(problems(&conversion), [""; 0], "{mode}");
        let asked = match &tls(&conversion).client_auth {
            ClientAuth::Verified(verification) => Some(verification.demand),
            ClientAuth::NotAsked => None,
            ClientAuth::Unverifiable => panic!("{mode}"),
        };
        assert_eq!(asked, demand, "{mode}");
    }
}

#[test]
fn names_and_pins_reach_the_model() {
    let pin = STANDARD.encode([7; 32]);
    let hash = "0a".repeat(32);
    let conversion = read(&format!(
        "mode: MUTUAL, credentialName: cert, subjectAltNames: ['spiffe://td/a', b.example.com], verifyCertificateSpki: ['{pin}'], verifyCertificateHash: ['{hash}']"
    ));
    assert_eq!(problems(&conversion), [""; 0]);
    let ClientAuth::Verified(verification) = &tls(&conversion).client_auth else { panic!() };
    let rules = &verification.rules;
    assert_eq!(*rules.subject_alt_names, ["spiffe://td/a".into(), "b.example.com".into()]);
    assert_eq!(
        (&*rules.spki_sha256, &*rules.certificate_sha256),
        (&[[7; 32]][..], &[[10; 32]][..])
    );
}

#[test]
fn names_and_pins_that_can_match_nothing_are_refused() {
    for (field, found) in [
        ("subjectAltNames: ['a b']", "subjectAltNames[0]: no certificate can have this name"),
        ("verifyCertificateSpki: [AAAA]", "verifyCertificateSpki[0]: this is no SHA-256 in base64"),
        (
            "verifyCertificateHash: [abcd]",
            "verifyCertificateHash[0]: this is no SHA-256 in hexadecimal",
        ),
    ] {
        let conversion = read(&format!("mode: MUTUAL, credentialName: cert, {field}"));
        let problem = only_problem(&conversion);
        assert!(problem.contains("error[PC0210]") && problem.contains(found), "{problem}");
        assert!(conversion.model.listeners.is_empty());
    }
}

#[test]
fn what_asks_clients_in_vain_is_a_warning() {
    let conversion = read("mode: SIMPLE, credentialName: cert, subjectAltNames: [a.example]");
    assert!(only_problem(&conversion).contains("warning[PC0211] Gateway/edge/gw spec.servers[0].tls.subjectAltNames: this has no effect in a mode that asks clients for no certificate"));
    assert_eq!(tls(&conversion).client_auth, ClientAuth::NotAsked);
}

#[test]
fn versions_begin_at_1_2() {
    for (fields, versions, warnings) in [
        ("minProtocolVersion: TLS_AUTO", TlsVersions::Both, 0),
        ("minProtocolVersion: TLSV1_3", TlsVersions::Only13, 0),
        ("maxProtocolVersion: TLSV1_2", TlsVersions::Only12, 0),
        ("minProtocolVersion: TLSV1_0", TlsVersions::Both, 1),
        ("minProtocolVersion: TLSV1_1, maxProtocolVersion: TLSV1_2", TlsVersions::Only12, 1),
    ] {
        let conversion = read(&format!("mode: SIMPLE, credentialName: cert, {fields}"));
        assert_eq!(tls(&conversion).parameters.versions, versions, "{fields}");
        let found = problems(&conversion);
        assert_eq!(found.len(), warnings, "{found:?}");
        assert!(
            found.iter().all(|p| p.contains("warning[PC0211]") && p.contains("TLS 1.0 and 1.1"))
        );
    }
    for (fields, found) in [
        ("maxProtocolVersion: TLSV1_1", "maxProtocolVersion: TLS 1.0 and 1.1 are broken"),
        (
            "minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2",
            "minProtocolVersion is above maxProtocolVersion",
        ),
        ("minProtocolVersion: TLSv1.2", "minProtocolVersion: `TLSv1.2` is not known here"),
    ] {
        let conversion = read(&format!("mode: SIMPLE, credentialName: cert, {fields}"));
        let problem = only_problem(&conversion);
        assert!(problem.contains("error[PC0210]") && problem.contains(found), "{problem}");
    }
}

#[test]
fn cipher_suites_are_those_of_envoy() {
    let suites =
        |list: &str| read(&format!("mode: SIMPLE, credentialName: cert, cipherSuites: [{list}]"));
    let conversion = suites("'[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]'");
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(tls(&conversion).parameters.suites.len(), 2);
    let conversion = suites("ECDHE-RSA-AES256-GCM-SHA384, AES128-SHA");
    assert!(only_problem(&conversion).contains("warning[PC0211] Gateway/edge/gw spec.servers[0].tls.cipherSuites[1]: `AES128-SHA` has no forward secrecy"));
    assert_eq!(tls(&conversion).parameters.suites.len(), 1);
    let found = problems(&suites("ECDHE-RSA-AES256-GCM-SHA348")).join("\n");
    assert!(found.contains("did you mean `ECDHE-RSA-AES256-GCM-SHA384`?"), "{found:?}");
    let conversion = suites("AES128-SHA");
    let found = problems(&conversion).join("\n");
    assert!(
        found.contains("error[PC0210]") && found.contains("none of the cipher suites is served")
    );
    assert!(conversion.model.listeners.is_empty());
}

#[test]
fn authorities_come_from_the_secret_or_the_one_beside_it_or_the_one_named() {
    let (own, beside, named) = (issuer(), issuer(), issuer());
    let cert = with_certificate(&[("ca.crt", &own.pem())]);
    let cacert = secret("cert-cacert", &[("cacert", &beside.pem())]);
    let third = secret("third", &[("ca.crt", &named.pem()), ("ca.crl", &revocations(&named))]);
    let anchors = |fields: &str, secrets: &[&String]| {
        let gateway = gateway(&format!("mode: MUTUAL, credentialName: cert{fields}"));
        let mut files = vec![("gw.yaml", gateway.as_str())];
        files.extend(secrets.iter().map(|text| ("s.yaml", text.as_str())));
        let files: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(i, (name, text))| (format!("{i}{name}"), *text))
            .collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let conversion = convert(&files);
        assert_eq!(problems(&conversion), [""; 0]);
        let ClientAuth::Verified(verification) = &tls(&conversion).client_auth else { panic!() };
        *verification.anchors.fingerprint()
    };
    let only_own = anchors("", &[&cert]);
    let from_beside = anchors("", &[&cert, &cacert]);
    let from_named = anchors(", caCertCredentialName: third", &[&cert, &cacert, &third]);
    assert!(only_own != from_beside && from_beside != from_named && from_named != only_own);
}

#[test]
fn without_authorities_clients_are_refused_and_never_served_unverified() {
    let mutual = gateway("mode: MUTUAL, credentialName: cert");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let list = revocations(&issuer());
    for (entries, found) in [
        (vec![], "Secret/edge/cert has no `ca.crt` to verify clients by"),
        (vec![("ca.crt", "\n")], "Secret/edge/cert has no `ca.crt` to verify clients by"),
        (vec![("ca.crt", broken)], "Secret/edge/cert has no usable `ca.crt`"),
        (vec![("ca.crl", list.as_str())], "Secret/edge/cert has no usable `ca.crt`"),
    ] {
        let conversion = convert(&[("gw.yaml", &mutual), ("s.yaml", &with_certificate(&entries))]);
        let all = problems(&conversion).join("\n");
        assert!(all.contains("error[PC0321]") && all.contains(found), "{all}");
        assert!(all.contains("handshakes for the server's hosts are refused"), "{all}");
        assert_eq!(tls(&conversion).client_auth, ClientAuth::Unverifiable);
    }
    let missing = gateway("mode: MUTUAL, credentialName: cert, caCertCredentialName: gone");
    let conversion = convert(&[("gw.yaml", &missing), ("s.yaml", &with_certificate(&[]))]);
    assert!(
        only_problem(&conversion)
            .contains("tls.caCertCredentialName: there is no Secret/edge/gone")
    );
    assert_eq!(tls(&conversion).client_auth, ClientAuth::Unverifiable);
}

#[test]
fn a_broken_authority_does_not_touch_a_server_that_asks_nothing() {
    let secret = with_certificate(&[("ca.crt", "no PEM")]);
    let conversion = convert(&[
        ("gw.yaml", &gateway("mode: SIMPLE, credentialName: cert")),
        ("s.yaml", &secret),
    ]);
    assert!(only_problem(&conversion).contains("error[PC0215] Secret/edge/cert data[ca.crt]"));
    assert_eq!(tls(&conversion).credentials.len(), 1);
}

#[test]
fn the_last_authorities_stand_in_for_themselves_alone() {
    let ca = issuer();
    let mutual = gateway("mode: MUTUAL, credentialName: cert");
    let good = with_certificate(&[("ca.crt", &ca.pem())]);
    let first = convert(&[("gw.yaml", &mutual), ("s.yaml", &good)]);
    let verified = tls(&first).client_auth.clone();
    let gone = with_certificate(&[]);
    let second = convert_after(&[("gw.yaml", &mutual), ("s.yaml", &gone)], &first.memory);
    assert!(
        only_problem(&second).contains("until then clients are verified by the last authorities")
    );
    assert_eq!(tls(&second).client_auth, verified);
    let other = gateway("mode: MUTUAL, credentialName: cert, caCertCredentialName: gone");
    let third = convert_after(&[("gw.yaml", &other), ("s.yaml", &gone)], &second.memory);
    assert_eq!(tls(&third).client_auth, ClientAuth::Unverifiable);
}

fn with_key_of(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<(&'static str, String)> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let params = CertificateParams::new(["a.example.com".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    vec![("tls.crt", chain), ("tls.key", key.serialize_pem())]
}

#[test]
fn two_certificates_are_both_had_and_three_are_refused() {
    let of = |name: &str, algorithm| {
        let entries = with_key_of(algorithm);
        let entries: Vec<_> = entries.iter().map(|(key, value)| (*key, value.as_str())).collect();
        secret(name, &entries)
    };
    let secrets = [of("one", &PKCS_ECDSA_P256_SHA256), of("two", &PKCS_ED25519)].join("---\n");
    let both = gateway("mode: SIMPLE, credentialNames: [one, two]");
    let first = convert(&[("gw.yaml", &both), ("s.yaml", &secrets)]);
    assert_eq!(problems(&first), [""; 0]);
    assert_eq!(tls(&first).credentials.len(), 2);
    // One that goes takes the other along to the last good pair, or leaves it alone.
    let one = of("one", &PKCS_ECDSA_P256_SHA256);
    let second = convert_after(&[("gw.yaml", &both), ("s.yaml", &one)], &first.memory);
    assert!(only_problem(&second).contains("tls.credentialNames[1]: there is no Secret/edge/two"));
    assert_eq!(tls(&second).credentials, tls(&first).credentials);
    assert_eq!(tls(&convert(&[("gw.yaml", &both), ("s.yaml", &one)])).credentials.len(), 1);
    let three = gateway("mode: SIMPLE, credentialNames: [one, two, three]");
    assert!(
        only_problem(&convert(&[("gw.yaml", &three)])).contains("3 certificates are named here")
    );
    let doubly = gateway("mode: SIMPLE, credentialName: one, credentialNames: [two]");
    assert!(only_problem(&convert(&[("gw.yaml", &doubly)])).contains("error[PC0212]"));
}

/// Converts one Gateway with these files at hand.
fn with_files(
    tls: &str,
    files: &BTreeMap<PathBuf, String>,
    memory: &Memory,
) -> (Conversion, Vec<PathBuf>) {
    let draft = Draft::read(vec![SourceFile {
        path: "gw.yaml".into(),
        directory: "/etc/portcullis".into(),
        text: gateway(tls).into(),
    }]);
    let read = |path: &Path| {
        files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| "gone".to_owned())
    };
    let files = CertificateFiles::new(Path::new("/mesh"), &read);
    let conversion = into_model_with(
        &draft,
        memory,
        Premises {
            head_rules: HeadRules::default(),
            joints: Joints::OneSlash,
            labels: &[],
            namespace: None,
            files: &files,
        },
    );
    (conversion, files.into_asked().into_iter().collect())
}

#[test]
fn the_meshs_certificates_come_from_its_directory() {
    let (chain, key) = pair();
    let mut files = BTreeMap::from([
        ("/mesh/cert-chain.pem".into(), chain),
        ("/mesh/key.pem".into(), key),
        ("/mesh/root-cert.pem".into(), issuer().pem()),
    ]);
    let (first, asked) = with_files("mode: ISTIO_MUTUAL", &files, &Memory::default());
    assert_eq!(problems(&first), [""; 0]);
    assert_eq!(asked.len(), 3);
    let ClientAuth::Verified(verification) = &tls(&first).client_auth else { panic!() };
    assert_eq!(verification.demand, Demand::Required);
    // A pair that is half replaced leaves the last one in place.
    files.insert("/mesh/key.pem".into(), pair().1);
    let (second, _) = with_files("mode: ISTIO_MUTUAL", &files, &first.memory);
    let problem = only_problem(&second);
    assert!(
        problem.contains("error[PC0320]")
            && problem
                .contains("/mesh/key.pem: the private key does not belong to the certificate"),
        "{problem}"
    );
    assert_eq!(tls(&second).credentials, tls(&first).credentials);
    let (none, asked) = with_files("mode: ISTIO_MUTUAL", &BTreeMap::new(), &Memory::default());
    assert_eq!((problems(&none).len(), asked.len()), (2, 3), "missing files are watched for");
    assert_eq!(tls(&none).client_auth, ClientAuth::Unverifiable);
    let (conversion, _) =
        with_files("mode: ISTIO_MUTUAL, credentialName: x", &files, &Memory::default());
    assert!(
        only_problem(&conversion)
            .contains("`credentialName` and the mode ISTIO_MUTUAL exclude each other")
    );
}

#[test]
fn certificates_in_files_are_read_and_watched() {
    let (chain, key) = pair();
    let ca = issuer();
    let files = BTreeMap::from([
        ("/a/c.pem".into(), chain),
        ("/a/k.pem".into(), key),
        ("/a/ca.pem".into(), ca.pem()),
        ("/a/crl.pem".into(), revocations(&ca)),
    ]);
    let all = "mode: MUTUAL, serverCertificate: /a/c.pem, privateKey: /a/k.pem, caCertificates: /a/ca.pem, caCrl: /a/crl.pem";
    let (conversion, asked) = with_files(all, &files, &Memory::default());
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(asked.len(), 4);
    assert!(matches!(tls(&conversion).client_auth, ClientAuth::Verified(_)));
    let pairs =
        "mode: SIMPLE, tlsCertificates: [{serverCertificate: /a/c.pem, privateKey: /a/k.pem}]";
    assert_eq!(tls(&with_files(pairs, &files, &Memory::default()).0).credentials.len(), 1);
    let without = all.replace(", caCertificates: /a/ca.pem, caCrl: /a/crl.pem", "");
    let (conversion, _) = with_files(&without, &files, &Memory::default());
    assert!(only_problem(&conversion).contains("tls.mode: nothing to verify clients by is named"));
    let (conversion, _) = with_files(&all.replace("/a/c.pem", "c.pem"), &files, &Memory::default());
    assert!(only_problem(&conversion).contains("`c.pem` is not absolute"));
    let (conversion, _) = with_files(&all.replace("crl.pem", "no.pem"), &files, &Memory::default());
    assert!(only_problem(&conversion).contains("tls.caCrl: /a/no.pem: gone"));
    assert_eq!(tls(&conversion).client_auth, ClientAuth::Unverifiable);
}

#[test]
fn a_revocation_list_that_would_be_passed_over_is_refused() {
    let conversion = read("mode: MUTUAL, credentialName: cert, caCrl: /a/crl.pem");
    assert!(
        only_problem(&conversion).contains("tls.caCrl: `caCrl` goes with `caCertificates` alone")
    );
}

#[test]
fn an_ocsp_response_is_stapled_and_anything_else_refused() {
    let with = |staple: &str| {
        let secret = with_certificate(&[("tls.ocsp-staple", staple)]);
        convert(&[("gw.yaml", &gateway("mode: SIMPLE, credentialName: cert")), ("s.yaml", &secret)])
    };
    let conversion = with("0\u{3}abc");
    assert_eq!(problems(&conversion), [""; 0]);
    let key = tls(&conversion).credentials[0].certified_key();
    assert_eq!(key.ocsp.as_deref(), Some(&b"0\x03abc"[..]));
    for bad in ["0\u{3}ab", "0\u{3}abcd", "1\u{3}abc"] {
        let found = problems(&with(bad)).join("\n");
        assert!(
            found.contains("error[PC0215]") && found.contains("holds no OCSP response in DER"),
            "{bad:?} {found}"
        );
    }
}
