//! TLS to upstreams: what is found, what is missing, what is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::{ServerNames, ServerVerification};
use portcullis_message::HeadRules;
use portcullis_model::{ClientTls, Cluster, Mesh, UpstreamServerName, UpstreamTls};

use super::{Conversion, REVIEWS, problems};
use crate::convert::{Joints, Premises, into_model_with};
use crate::{CertificateFiles, Draft, Memory, SourceFile};

type Files = BTreeMap<PathBuf, String>;

/// What comes of `REVIEWS` under a DestinationRule with this `tls`, and more manifests.
fn read_after(tls: &str, more: &str, files: &Files, memory: &Memory) -> Conversion {
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: shop}}\nspec:\n  host: reviews.example.com\n  subsets: [{{name: v1, labels: {{version: v1}}}}]\n  trafficPolicy: {{tls: {{{tls}}}}}\n"
    );
    let source = |path: &str, text: &str| SourceFile {
        path: path.into(),
        directory: "/etc/portcullis".into(),
        text: text.into(),
    };
    let draft = Draft::read(vec![
        source("r.yaml", REVIEWS),
        source("d.yaml", &rule),
        source("m.yaml", more),
    ]);
    convert_with(&draft, files, memory)
}

fn convert_with(draft: &Draft, files: &Files, memory: &Memory) -> Conversion {
    let read = |path: &Path| {
        files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| "gone".to_owned())
    };
    let files = CertificateFiles::new(Path::new("/mesh"), &read);
    into_model_with(
        draft,
        memory,
        Premises {
            head_rules: HeadRules::default(),
            joints: Joints::OneSlash,
            labels: &[],
            namespace: None,
            files: &files,
        },
    )
}

fn read(tls: &str, files: &Files) -> Conversion {
    read_after(tls, "", files, &Memory::default())
}

fn cluster<'c>(conversion: &'c Conversion, subset: &str) -> &'c Arc<Cluster> {
    let named = |cluster: &&Arc<Cluster>| &*cluster.name.subset == subset;
    conversion.model.clusters.values().find(named).unwrap()
}

fn client(conversion: &Conversion) -> &ClientTls {
    assert_eq!(problems(conversion), [""; 0]);
    match &cluster(conversion, "").tls {
        UpstreamTls::Client(tls) => tls,
        other => panic!("{other:?}"),
    }
}

fn broken(conversion: &Conversion) -> String {
    match &cluster(conversion, "").tls {
        UpstreamTls::Broken(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

fn names(tls: &ClientTls) -> &ServerNames {
    match &tls.verification {
        ServerVerification::Verified { names, .. } => names,
        ServerVerification::Nobody => panic!("nobody is verified"),
    }
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The mesh's certificates, a system's bundle, and files that rules name.
fn files() -> Files {
    let (chain, key) = pair();
    let mut files = Files::new();
    for (path, text) in [
        ("/mesh/cert-chain.pem", &chain),
        ("/mesh/key.pem", &key),
        ("/mesh/root-cert.pem", &chain),
        ("/etc/ssl/certs/ca-certificates.crt", &chain),
        ("/c/chain.pem", &chain),
        ("/c/key.pem", &key),
        ("/c/ca.pem", &chain),
    ] {
        files.insert(path.into(), text.clone());
    }
    files
}

fn secret(entries: &[(&str, &str)]) -> String {
    let mut text =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: shop}\ndata:\n".to_owned();
    for (key, value) in entries {
        text += &format!("  {key}: {}\n", STANDARD.encode(value));
    }
    text
}

#[test]
fn sidecars_are_asked_for_by_their_names_with_the_meshs_certificates() {
    let conversion = read("mode: ISTIO_MUTUAL", &files());
    let tls = client(&conversion);
    assert!(tls.credential.is_some());
    assert_eq!((tls.mesh, names(tls)), (Mesh::Sidecar, &ServerNames::AnySpiffe));
    let name = |subset| match &cluster(&conversion, subset).tls {
        UpstreamTls::Client(tls) => tls.server_name.clone(),
        other => panic!("{other:?}"),
    };
    let fixed = |name: &str| UpstreamServerName::Fixed(name.into());
    assert_eq!(name(""), fixed("outbound_.80_._.reviews.example.com"));
    assert_eq!(name("v1"), fixed("outbound_.80_.v1_.reviews.example.com"));
    let identity = "mode: ISTIO_MUTUAL, sni: x.y, subjectAltNames: ['spiffe://d/ns/a/sa/b']";
    let conversion = read(identity, &files());
    let tls = client(&conversion);
    assert_eq!(tls.server_name, fixed("x.y"));
    assert_eq!(names(tls), &ServerNames::OneOf(["spiffe://d/ns/a/sa/b".into()].into()));
}

#[test]
fn other_upstreams_prove_the_name_that_they_are_asked_for() {
    let conversion = read("mode: SIMPLE", &files());
    let tls = client(&conversion);
    assert!(tls.credential.is_none());
    assert_eq!((tls.mesh, names(tls)), (Mesh::Outside, &ServerNames::Asked));
    assert_eq!(tls.server_name, UpstreamServerName::Authority);
    let mutual = "mode: MUTUAL, clientCertificate: /c/chain.pem, privateKey: /c/key.pem, caCertificates: /c/ca.pem, sni: a.b";
    let conversion = read(mutual, &files());
    let tls = client(&conversion);
    assert!(tls.credential.is_some());
    assert_eq!(tls.server_name, UpstreamServerName::Fixed("a.b".into()));
    let conversion = read("mode: SIMPLE, insecureSkipVerify: true", &Files::new());
    assert_eq!(client(&conversion).verification, ServerVerification::Nobody);
}

#[test]
fn a_secret_has_the_certificate_and_who_vouches_for_endpoints() {
    let (chain, key) = pair();
    let whole = secret(&[("tls.crt", &chain), ("tls.key", &key), ("ca.crt", &chain)]);
    let by_secret = |mode: &str, secret: &str| {
        let tls = format!("mode: {mode}, credentialName: cert");
        read_after(&tls, secret, &Files::new(), &Memory::default())
    };
    assert!(client(&by_secret("MUTUAL", &whole)).credential.is_some());
    assert!(client(&by_secret("SIMPLE", &whole)).credential.is_none());
    let beside = format!(
        "{}---\n{}",
        secret(&[("tls.crt", &chain), ("tls.key", &key)]),
        secret(&[("cacert", &chain)]).replace("name: cert", "name: cert-cacert")
    );
    assert!(client(&by_secret("MUTUAL", &beside)).credential.is_some());
    let without = secret(&[("tls.crt", &chain), ("tls.key", &key)]);
    assert_eq!(
        broken(&by_secret("MUTUAL", &without)),
        "Secret/shop/cert has no `ca.crt` to verify endpoints by"
    );
    let missing = by_secret("MUTUAL", "");
    assert_eq!(broken(&missing), "there is no Secret/shop/cert");
    assert_eq!(
        problems(&missing),
        [
            "d.yaml:7:55: error[PC0301] DestinationRule/shop/r spec.trafficPolicy.tls.credentialName: there is no Secret/shop/cert; write the Secret with `tls.crt`, `tls.key` and `ca.crt`, in the DestinationRule's namespace; until then the requests that this covers are answered with 503"
        ]
    );
    let elsewhere = whole.replace("namespace: shop", "namespace: other");
    assert_eq!(broken(&by_secret("MUTUAL", &elsewhere)), "there is no Secret/shop/cert");
}

#[test]
fn what_cannot_be_had_is_told_by_field_and_line_and_is_never_plain_text() {
    let mut without_root = files();
    without_root.remove(Path::new("/mesh/root-cert.pem"));
    let mut mismatched = files();
    mismatched.insert("/c/key.pem".into(), pair().1);
    let mutual = "mode: MUTUAL, clientCertificate: /c/chain.pem, privateKey: /c/key.pem";
    for (tls, files, problem) in [
        (
            "mode: ISTIO_MUTUAL",
            &without_root,
            "d.yaml:7:24: error[PC0320] DestinationRule/shop/r spec.trafficPolicy.tls.mode: /mesh/root-cert.pem: gone",
        ),
        (
            "mode: SIMPLE, caCertificates: /c/none",
            &without_root,
            "d.yaml:7:55: error[PC0320] DestinationRule/shop/r spec.trafficPolicy.tls.caCertificates: /c/none: gone",
        ),
        (
            "mode: SIMPLE",
            &Files::new(),
            "d.yaml:7:24: error[PC0322] DestinationRule/shop/r spec.trafficPolicy.tls: there is nobody to verify endpoints by: the operating system has no bundle of authorities",
        ),
        (
            mutual,
            &mismatched,
            "d.yaml:7:84: error[PC0320] DestinationRule/shop/r spec.trafficPolicy.tls.privateKey: /c/key.pem: the private key does not belong to the certificate",
        ),
    ] {
        let conversion = read(tls, files);
        let said = problems(&conversion);
        assert!(said.len() == 1 && said[0].starts_with(problem), "{tls}: {said:#?}");
        let reason = broken(&conversion);
        assert!(problem.ends_with(&reason), "{reason}");
    }
}

#[test]
fn what_excludes_each_other_or_has_no_effect_is_told() {
    for (tls, problem) in [
        ("mode: MUTUAL", "error[PC0209] DestinationRule/shop/r spec.trafficPolicy.tls"),
        (
            "mode: MUTUAL, credentialName: c, privateKey: /a",
            "error[PC0212] DestinationRule/shop/r spec.trafficPolicy.tls.privateKey",
        ),
        (
            "mode: SIMPLE, caCrl: /a",
            "error[PC0210] DestinationRule/shop/r spec.trafficPolicy.tls.caCrl",
        ),
        (
            "mode: SIMPLE, sni: 'a b'",
            "error[PC0210] DestinationRule/shop/r spec.trafficPolicy.tls.sni",
        ),
        (
            "mode: SIMPLE, subjectAltNames: ['']",
            "error[PC0210] DestinationRule/shop/r spec.trafficPolicy.tls.subjectAltNames[0]",
        ),
        (
            "mode: SIMPLE, caCertificates: ca.pem",
            "error[PC0210] DestinationRule/shop/r spec.trafficPolicy.tls.caCertificates",
        ),
        (
            "mode: SIMPLE, credentialName: other/c",
            "error[PC0210] DestinationRule/shop/r spec.trafficPolicy.tls.credentialName",
        ),
        (
            "mode: SIMPLE, clientCertificate: /c/chain.pem",
            "warning[PC0217] DestinationRule/shop/r spec.trafficPolicy.tls.clientCertificate",
        ),
        (
            "mode: DISABLE, sni: a",
            "warning[PC0217] DestinationRule/shop/r spec.trafficPolicy.tls.sni",
        ),
        (
            "mode: ISTIO_MUTUAL, caCertificates: /c/ca.pem",
            "warning[PC0217] DestinationRule/shop/r spec.trafficPolicy.tls.caCertificates",
        ),
        (
            "mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]",
            "warning[PC0217] DestinationRule/shop/r spec.trafficPolicy.tls.subjectAltNames",
        ),
    ] {
        let said = problems(&read(tls, &files()));
        assert!(said.iter().any(|said| said.contains(problem)), "{tls}: {said:#?}");
    }
}

#[test]
fn what_was_had_last_stands_in_for_itself_alone() {
    let mut files = files();
    let first = read("mode: ISTIO_MUTUAL", &files);
    files.insert("/mesh/key.pem".into(), pair().1);
    let second = read_after("mode: ISTIO_MUTUAL", "", &files, &first.memory);
    assert_eq!(cluster(&first, "").tls, cluster(&second, "").tls);
    assert!(problems(&second)[0].contains("until then what was had last is used"));
    let (chain, key) = pair();
    files.insert("/mesh/cert-chain.pem".into(), chain);
    files.insert("/mesh/key.pem".into(), key);
    let third = read_after("mode: ISTIO_MUTUAL", "", &files, &second.memory);
    assert_ne!(client(&third).credential, client(&first).credential);
    let other = "mode: SIMPLE, caCertificates: /c/none";
    broken(&read_after(other, "", &files, &third.memory));
}

#[test]
fn endpoints_that_are_labelled_as_having_a_sidecar_are_spoken_to_as_one() {
    let labelled = REVIEWS.replace("version:", "security.istio.io/tlsMode: istio, version:");
    let read = |text: &str, rule: &str| {
        let source = SourceFile {
            path: "r.yaml".into(),
            directory: "/".into(),
            text: format!("{text}---{rule}").into(),
        };
        convert_with(&Draft::read(vec![source]), &files(), &Memory::default())
    };
    let conversion = read(&labelled, "");
    assert_eq!(client(&conversion).mesh, Mesh::Sidecar);
    let disabled = "\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: shop}\nspec: {host: reviews.example.com, trafficPolicy: {tls: {mode: DISABLE}}}\n";
    assert_eq!(cluster(&read(&labelled, disabled), "").tls, UpstreamTls::Plain);
    let mixed = labelled.replacen("security.istio.io/tlsMode: istio, ", "", 1);
    let conversion = read(&mixed, "");
    assert!(matches!(cluster(&conversion, "").tls, UpstreamTls::Client(_)));
    assert!(
        problems(&conversion)[0].contains("10.0.0.1:8080 of `reviews.example.com` is not labelled")
    );
    assert_eq!(cluster(&read(REVIEWS, ""), "").tls, UpstreamTls::Plain);
}
