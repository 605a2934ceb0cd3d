//! Certificates of listeners, and who vouches for their clients.

use portcullis_crypto::Demand;
use portcullis_model::{ClientAuth, TlsSettings};

use super::*;

pub(super) fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}

pub(super) fn secret(name: &str, namespace: &str) -> String {
    let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(&made.cert.pem()),
        indented(&made.signing_key.serialize_pem())
    )
}

fn config_map(name: &str, pem: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: edge}}\ndata:\n  ca.crt: |\n{}",
        indented(pem)
    )
}

pub(super) fn authority() -> String {
    rcgen::generate_simple_self_signed(["authority".to_owned()]).unwrap().cert.pem()
}

fn https(references: &str) -> String {
    gateway(&[&format!(
        "name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{references}]}}"
    )])
}

fn tls(conversion: &Conversion) -> &TlsSettings {
    conversion.model.listeners[0].tls.as_ref().unwrap()
}

const FINE: &str =
    "Accepted(Accepted) !Conflicted(NoConflicts) ResolvedRefs(ResolvedRefs) Programmed(Programmed)";

#[test]
fn a_listener_has_the_certificates_that_it_names() {
    let conversion = converted(&[
        https("{name: one}, {kind: Secret, group: '', name: two}"),
        secret("one", "edge"),
        secret("two", "edge"),
    ]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(tls(&conversion).credentials.len(), 2);
    assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "https"), FINE);
}

#[test]
fn a_certificate_that_cannot_be_had_leaves_handshakes_refused() {
    let grant = |namespace: &str, name: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: far}}\nspec: {{from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: {namespace}}}], to: [{{group: '', kind: Secret{name}}}]}}\n"
        )
    };
    let far = "{name: one, namespace: far}";
    let malformed = "apiVersion: v1\nkind: Secret\nmetadata: {name: one, namespace: edge}\nstringData: {tls.crt: x, tls.key: y}\n";
    let cases = [
        ("{name: none}", secret("one", "edge"), "InvalidCertificateRef", "PC0301"),
        ("{name: one}", malformed.to_owned(), "InvalidCertificateRef", "PC0302"),
        ("{kind: ConfigMap, name: one}", secret("one", "edge"), "InvalidCertificateRef", "PC0210"),
        (
            "{group: example.com, name: one}",
            secret("one", "edge"),
            "InvalidCertificateRef",
            "PC0210",
        ),
        (far, secret("one", "far"), "RefNotPermitted", "PC0345"),
        (far, secret("one", "far") + "---\n" + &grant("other", ""), "RefNotPermitted", "PC0345"),
        (
            far,
            secret("one", "far") + "---\n" + &grant("edge", ", name: two"),
            "RefNotPermitted",
            "PC0345",
        ),
    ];
    for (reference, with, reason, code) in cases {
        let conversion = converted(&[https(reference), with]);
        assert!(tls(&conversion).credentials.is_empty(), "{reference}");
        assert_eq!(
            listener_conditions(&conversion, "Gateway/edge/gw", "https"),
            format!(
                "Accepted(Accepted) !Conflicted(NoConflicts) !ResolvedRefs({reason}) !Programmed(Invalid)"
            ),
            "{reference}"
        );
        let problems = problems(&conversion);
        assert!(
            problems.iter().any(|problem| problem.contains(code)
                && problem.contains("Gateway/edge/gw spec.listeners[0].tls.certificateRefs[0]")),
            "{reference}: {problems:#?}"
        );
    }
    for name in ["", ", name: one"] {
        let conversion = converted(&[https(far), secret("one", "far"), grant("edge", name)]);
        assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "https"), FINE);
        assert_eq!(tls(&conversion).credentials.len(), 1);
    }
}

#[test]
fn a_grant_that_is_taken_back_ends_the_use_of_the_certificate() {
    let grant = "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: far}\nspec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: edge}], to: [{group: '', kind: Secret}]}\n";
    let (gateway, secret) = (https("{name: one, namespace: far}"), secret("one", "far"));
    let with = [gateway.as_str(), &secret, grant].join("---\n");
    let without = [gateway.as_str(), &secret].join("---\n");
    let first = convert(&[("a.yaml", &with)]);
    assert_eq!(tls(&first).credentials.len(), 1);
    let second = super::super::convert_after(&[("a.yaml", &without)], &first.memory);
    assert!(tls(&second).credentials.is_empty());
}

fn validating(validation: &str) -> String {
    gateway_with(
        &format!("  tls: {{frontend: {{default: {{validation: {{{validation}}}}}}}}}\n"),
        &["name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: one}]}"],
    )
}

#[test]
fn clients_are_verified_by_the_authorities_of_a_config_map() {
    let reference = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";
    let conversion =
        converted(&[validating(reference), secret("one", "edge"), config_map("ca", &authority())]);
    assert_eq!(problems(&conversion), [""; 0]);
    let ClientAuth::Verified(verification) = &tls(&conversion).client_auth else {
        panic!("clients are verified")
    };
    assert_eq!(verification.demand, Demand::Required);
    assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "https"), FINE);
}

#[test]
fn authorities_that_cannot_be_had_refuse_every_client() {
    let good = config_map("ca", &authority());
    let map =
        |name: &str| format!("caCertificateRefs: [{{group: '', kind: ConfigMap, name: {name}}}]");
    let cases = [
        (map("none"), good.clone(), "InvalidCACertificateRef", "PC0321"),
        (map("ca"), config_map("ca", "nothing"), "InvalidCACertificateRef", "PC0321"),
        (map("ca, namespace: far"), good.clone(), "RefNotPermitted", "PC0345"),
        (
            "caCertificateRefs: [{group: '', kind: Pod, name: ca}]".to_owned(),
            good,
            "InvalidCACertificateKind",
            "PC0210",
        ),
    ];
    for (validation, map, reason, code) in cases {
        let conversion = converted(&[validating(&validation), secret("one", "edge"), map]);
        assert_eq!(tls(&conversion).client_auth, ClientAuth::Unverifiable, "{validation}");
        let conditions = listener_conditions(&conversion, "Gateway/edge/gw", "https");
        assert!(
            conditions.contains(&format!("!ResolvedRefs({reason}) !Programmed(Invalid)")),
            "{conditions}"
        );
        let problems = problems(&conversion);
        assert!(
            problems.iter().any(|problem| problem.contains(code)
                && problem.contains("spec.tls.frontend.default.validation")),
            "{problems:#?}"
        );
    }
}

#[test]
fn a_port_has_a_validation_of_its_own() {
    let ca = "validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}";
    let gateway = gateway_with(
        &format!(
            "  tls: {{frontend: {{default: {{{ca}}}, perPort: [{{port: 8443, tls: {{}}}}]}}}}\n"
        ),
        &[
            "name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: one}]}",
            "name: b, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: one}]}",
        ],
    );
    let conversion = converted(&[gateway, secret("one", "edge"), config_map("ca", &authority())]);
    let asked: Vec<bool> = conversion
        .model
        .listeners
        .iter()
        .map(|listener| listener.tls.as_ref().unwrap().client_auth != ClientAuth::NotAsked)
        .collect();
    assert_eq!(asked, [true, false]);
}

#[test]
fn an_insecure_fallback_is_said_in_the_status() {
    let validation =
        "mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";
    let conversion =
        converted(&[validating(validation), secret("one", "edge"), config_map("ca", &authority())]);
    assert!(
        shown(&status(&conversion, "Gateway/edge/gw").conditions)
            .ends_with("InsecureFrontendValidationMode(ConfigurationChanged)")
    );
}
