//! BackendTLSPolicies: TLS to Services, and never plain text where it was asked for.

use portcullis_crypto::{ServerNames, ServerVerification};
use portcullis_model::{UpstreamServerName, UpstreamTls};

use super::grpc_routes::{API_GATEWAY, WEB, api_route};
use super::{Conversion, convert, convert_after, only_problem, problems};

const CONFIG_MAP: &str = "validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], hostname: web.internal}";

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n---\n"
    )
}

/// A policy for the Service `web`, or a port of it.
fn for_web(name: &str, section: &str, validation: &str) -> String {
    let section =
        if section.is_empty() { String::new() } else { format!(", sectionName: {section}") };
    policy(
        name,
        &format!("targetRefs: [{{group: '', kind: Service, name: web{section}}}], {validation}"),
    )
}

/// An object of this kind named `ca` with a CA certificate.
fn authority(kind: &str) -> String {
    let pem = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem();
    let data = if kind == "Secret" { "stringData" } else { "data" };
    let pem = pem.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: {kind}\nmetadata: {{name: ca, namespace: shop}}\n{data}:\n  ca.crt: |\n    {pem}\n---\n"
    )
}

fn converted(text: &str) -> Conversion {
    convert(&[("a.yaml", &(WEB.to_owned() + text))])
}

fn tls(conversion: &Conversion, port: u16) -> &UpstreamTls {
    let clusters = &conversion.model.clusters;
    &clusters.iter().find(|(name, _)| name.port == port).unwrap().1.tls
}

/// The server name asked for, and the names of which a certificate must have one.
fn asked(conversion: &Conversion, port: u16) -> (UpstreamServerName, Vec<String>) {
    let UpstreamTls::Client(client) = tls(conversion, port) else {
        panic!("{:?}", tls(conversion, port))
    };
    let ServerVerification::Verified { names: ServerNames::OneOf(names), .. } =
        &client.verification
    else {
        panic!("{:?}", client.verification)
    };
    (client.server_name.clone(), names.iter().map(ToString::to_string).collect())
}

fn fixed(name: &str) -> UpstreamServerName {
    UpstreamServerName::Fixed(name.into())
}

#[test]
fn authorities_of_config_maps_and_secrets_vouch_for_the_hostname() {
    for kind in ["ConfigMap", "Secret"] {
        let validation = CONFIG_MAP.replace("ConfigMap", kind);
        let conversion = converted(&(authority(kind) + &for_web("p", "", &validation)));
        assert_eq!(problems(&conversion), [""; 0]);
        for port in [80, 443] {
            assert_eq!(
                asked(&conversion, port),
                (fixed("web.internal"), vec!["web.internal".to_owned()])
            );
        }
    }
}

#[test]
fn written_names_take_the_hostnames_place_in_the_certificate() {
    let validation = CONFIG_MAP.replace("hostname: web.internal", "hostname: web.internal, subjectAltNames: [{type: Hostname, hostname: a.test}, {type: URI, uri: 'spiffe://a.test/web'}]");
    let conversion = converted(&(authority("ConfigMap") + &for_web("p", "", &validation)));
    assert_eq!(problems(&conversion), [""; 0]);
    let names = vec!["a.test".to_owned(), "spiffe://a.test/web".to_owned()];
    assert_eq!(asked(&conversion, 443), (fixed("web.internal"), names));
}

#[test]
fn who_names_the_port_comes_first_then_the_older_and_both_before_destination_rules() {
    let other = CONFIG_MAP.replace("web.internal", "port.internal");
    let text = authority("ConfigMap")
        + &for_web("whole", "", CONFIG_MAP)
        + &for_web("port", "https", &other);
    let conversion = converted(&text);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(asked(&conversion, 80).0, fixed("web.internal"));
    assert_eq!(asked(&conversion, 443).0, fixed("port.internal"));
    let twice = text.clone() + &for_web("later", "", &other);
    let conversion = converted(&twice);
    assert!(only_problem(&conversion).contains("error[PC0330] BackendTLSPolicy/shop/later spec.targetRefs[0].name: BackendTLSPolicy/shop/whole is for the same and older"));
    assert_eq!(asked(&conversion, 80).0, fixed("web.internal"));
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\nspec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}\n---\n";
    let conversion = converted(&(text + rule));
    let found = problems(&conversion);
    assert!(
        found.iter().all(|problem| problem.contains("warning[PC0330]")) && found.len() == 2,
        "{found:#?}"
    );
    assert_eq!(asked(&conversion, 80).0, fixed("web.internal"));
}

#[test]
fn what_is_broken_refuses_and_never_sends_plain_text() {
    for (text, wanted) in [
        (
            for_web("p", "", CONFIG_MAP),
            "error[PC0322] BackendTLSPolicy/shop/p spec.validation.caCertificateRefs[0]: there is no ConfigMap/shop/ca",
        ),
        (
            authority("ConfigMap").replace("-----BEGIN", "-----BEGUN")
                + &for_web("p", "", CONFIG_MAP),
            "error[PC0322] BackendTLSPolicy/shop/p spec.validation.caCertificateRefs[0]: ConfigMap/shop/ca has no usable `ca.crt`",
        ),
        (
            for_web("p", "", "validation: {hostname: web.internal}"),
            "error[PC0209] BackendTLSPolicy/shop/p spec.validation.caCertificateRefs: `validation` has no `caCertificateRefs`",
        ),
        (
            for_web(
                "p",
                "",
                "validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}",
            ),
            "error[PC0209] BackendTLSPolicy/shop/p spec.validation.hostname",
        ),
        (
            for_web("p", "", "options: {a: b}"),
            "error[PC0209] BackendTLSPolicy/shop/p spec.validation: a BackendTLSPolicy has no `validation`",
        ),
        (
            for_web("p", "", &CONFIG_MAP.replace("ConfigMap", "Bucket")),
            "error[PC0210] BackendTLSPolicy/shop/p spec.validation.caCertificateRefs[0]: CA certificates are found in a ConfigMap, not in a `Bucket`",
        ),
        (
            for_web("p", "", &CONFIG_MAP.replace("web.internal", "'*.internal'")),
            "error[PC0210] BackendTLSPolicy/shop/p spec.validation.hostname: this has to be a DNS name",
        ),
        (
            for_web(
                "p",
                "",
                &CONFIG_MAP.replace("hostname", "wellKnownCACertificates: System, hostname"),
            ),
            "error[PC0212] BackendTLSPolicy/shop/p spec.validation: only one of",
        ),
        (
            for_web("p", "", "validation: {wellKnownCACertificates: Mine, hostname: a.test}"),
            "error[PC0210] BackendTLSPolicy/shop/p spec.validation.wellKnownCACertificates: `Mine` is not known here",
        ),
        (
            for_web(
                "p",
                "",
                &CONFIG_MAP
                    .replace("hostname:", "subjectAltNames: [{type: URI, uri: x}], hostname:"),
            ),
            "error[PC0210] BackendTLSPolicy/shop/p spec.validation.subjectAltNames[0].uri: `x` is no URI",
        ),
        (
            for_web(
                "p",
                "",
                &CONFIG_MAP.replace("hostname:", "subjectAltNames: [{type: DNS}], hostname:"),
            ),
            "error[PC0210] BackendTLSPolicy/shop/p spec.validation.subjectAltNames[0].type: `DNS` is not known here",
        ),
    ] {
        let conversion = converted(&text);
        let found = problems(&conversion);
        assert!(
            found.iter().any(|problem| problem.contains(wanted)),
            "wanted {wanted}\n{found:#?}"
        );
        assert!(matches!(tls(&conversion, 443), UpstreamTls::Broken(_)), "{wanted}");
    }
}

#[test]
fn targets_that_cannot_be_are_said_at_their_place() {
    for (targets, wanted) in [
        (
            "[{group: '', kind: Service, name: gone}]",
            "error[PC0317] BackendTLSPolicy/shop/p spec.targetRefs[0].name: there is no Service/shop/gone",
        ),
        (
            "[{group: '', kind: Service, name: web, sectionName: grpc}]",
            "error[PC0317] BackendTLSPolicy/shop/p spec.targetRefs[0].sectionName: Service/shop/web has no port `grpc`",
        ),
        (
            "[{group: '', kind: Pod, name: web}]",
            "error[PC0210] BackendTLSPolicy/shop/p spec.targetRefs[0]: a `Pod` is no target",
        ),
    ] {
        let text =
            authority("ConfigMap") + &policy("p", &format!("targetRefs: {targets}, {CONFIG_MAP}"));
        let found = problems(&converted(&text));
        assert!(
            found.iter().any(|problem| problem.contains(wanted)),
            "wanted {wanted}\n{found:#?}"
        );
    }
    let options = for_web("p", "", &format!("options: {{example.com/a: b}}, {CONFIG_MAP}"));
    assert!(only_problem(&converted(&(authority("ConfigMap") + &options))).contains(
        "warning[PC0217] BackendTLSPolicy/shop/p spec.options[example.com/a]: there is no option"
    ));
}

#[test]
fn authorities_that_go_away_vouch_on_under_the_same_name() {
    let text = WEB.to_owned() + &for_web("p", "", CONFIG_MAP);
    let before = convert(&[("a.yaml", &(text.clone() + &authority("ConfigMap")))]);
    let after = convert_after(&[("a.yaml", &text)], &before.memory);
    assert!(only_problem(&after).contains("until then what was had last is used"));
    assert_eq!(asked(&after, 443).0, fixed("web.internal"));
}

#[test]
fn a_port_that_asks_for_tls_by_itself_gets_no_plain_text() {
    let web = WEB.replace(
        "{port: 443, name: https}",
        "{port: 443, name: https, appProtocol: kubernetes.io/wss}",
    );
    let conversion = convert(&[("a.yaml", &web)]);
    assert!(
        only_problem(&conversion)
            .contains("error[PC0322] Service/shop/web spec.ports: port 443 asks for TLS")
    );
    assert!(matches!(tls(&conversion, 443), UpstreamTls::Broken(_)));
    assert_eq!(*tls(&conversion, 80), UpstreamTls::Plain);
    let text = web + &authority("ConfigMap") + &for_web("p", "https", CONFIG_MAP);
    let conversion = convert(&[("a.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(asked(&conversion, 443).0, fixed("web.internal"));
}

/// The conditions of the policy `p` under the Gateway, as `Type=Status/Reason`.
fn conditions(conversion: &Conversion) -> Vec<String> {
    let status = conversion.status.iter();
    let mut of_policy = status.filter(|status| status.object == "BackendTLSPolicy/shop/p");
    let ancestors = of_policy.next().map(|status| status.ancestors.as_slice()).unwrap_or_default();
    let [ancestor] = ancestors else { panic!("{ancestors:?}") };
    assert_eq!(ancestor.ancestor_ref.name, "gw");
    let shown = ancestor.conditions.iter();
    shown.map(|each| format!("{}={}/{}", each.kind, each.status, each.reason)).collect()
}

#[test]
fn the_status_says_what_became_of_a_policy_at_each_gateway() {
    let route = api_route("HTTPRoute", "r", "  rules: [{backendRefs: [{name: web, port: 80}]}]");
    let with = |text: &str| {
        let text = WEB.to_owned() + &route + text;
        convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &text)])
    };
    let own = for_web("p", "", CONFIG_MAP);
    let good = with(&(authority("ConfigMap") + &own));
    assert_eq!(conditions(&good), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    let lacking = with(&own);
    assert_eq!(
        conditions(&lacking),
        ["Accepted=False/NoValidCACertificate", "ResolvedRefs=False/InvalidCACertificateRef"]
    );
    let older = for_web("older", "", CONFIG_MAP);
    let second = with(&(authority("ConfigMap") + &older + &own));
    assert_eq!(conditions(&second)[0], "Accepted=False/Conflicted");
    let unrelated = converted(&(authority("ConfigMap") + &own));
    assert!(unrelated.status.iter().all(|status| !status.object.starts_with("BackendTLS")));
}
