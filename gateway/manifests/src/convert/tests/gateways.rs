//! Gateways to listeners: protocols, TLS, conflicts.

use portcullis_model::ListenerProtocol;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::{GATEWAY, convert, convert_after, only_problem, problems};

const TLS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTP2}
    hosts: ['*']
    tls: {httpsRedirect: true}
  - port: {number: 443, name: https, protocol: https}
    bind: 127.0.0.1
    name: secure
    hosts: ['*/a.example.com']
    tls: {mode: SIMPLE, credentialName: cert}
";

fn secret() -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    let indented = |pem: String| pem.replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: cert, namespace: edge}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(cert.pem()),
        indented(signing_key.serialize_pem())
    )
}

#[test]
fn servers_become_listeners() {
    let conversion = convert(&[("gw.yaml", TLS), ("secret.yaml", &secret())]);
    assert_eq!(problems(&conversion), [""; 0]);
    let [plain, secure] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!((plain.protocol, plain.https_redirect), (ListenerProtocol::Http, true));
    assert!(plain.tls.is_none());
    assert_eq!((&*secure.server, secure.port), ("secure", 443));
    assert_eq!(secure.bind, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(secure.hosts[0].to_string(), "a.example.com");
    assert_eq!(secure.tls.as_ref().unwrap().credentials.len(), 1);
}

#[test]
fn a_missing_secret_degrades_its_own_server_alone() {
    let conversion = convert(&[("gw.yaml", TLS)]);
    assert_eq!(
        only_problem(&conversion),
        "gw.yaml:14:41: error[PC0301] Gateway/edge/gw spec.servers[1].tls.credentialName: there is no Secret/edge/cert; write the Secret with `tls.crt` and `tls.key`, or correct the name; until then TLS handshakes for the server's hosts are refused"
    );
    assert_eq!(conversion.model.listeners.len(), 2);
    assert_eq!(conversion.model.listeners[1].tls.as_ref().unwrap().credentials, []);
}

#[test]
fn a_server_keeps_its_certificate_when_the_secret_goes() {
    let first = convert(&[("gw.yaml", TLS), ("secret.yaml", &secret())]);
    let credential = first.model.listeners[1].tls.clone().unwrap().credentials;
    let mut memory = first.memory;
    for text in [TLS.to_owned(), TLS.replace("credentialName: cert", "credentialName: typo")] {
        let conversion = convert_after(&[("gw.yaml", &text)], &memory);
        assert!(only_problem(&conversion).contains("the server keeps its last certificate"));
        assert_eq!(conversion.model.listeners[1].tls.as_ref().unwrap().credentials, credential);
        memory = conversion.memory;
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_where_it_stands() {
    let (ours, theirs) = (secret(), secret());
    let (head, _) = ours.split_once("  tls.key").unwrap();
    let (_, key) = theirs.split_once("  tls.key").unwrap();
    let mixed = format!("{head}  tls.key{key}");
    let conversion = convert(&[("gw.yaml", TLS), ("secret.yaml", &mixed)]);
    let found = problems(&conversion);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("error[PC0302] Gateway/edge/gw") && found[0].contains("cannot be used")
    );
    assert!(found[1].contains("error[PC0215] Secret/edge/cert stringData[tls.key]: the private key does not belong to the certificate"), "{found:#?}");
    assert!(!found[1].contains("PRIVATE KEY"));
    // At a reload the last good version serves on.
    let good = convert(&[("gw.yaml", TLS), ("secret.yaml", &ours)]);
    let conversion = convert_after(&[("gw.yaml", TLS), ("secret.yaml", &mixed)], &good.memory);
    assert!(only_problem(&conversion).contains("PC0215"));
    assert_eq!(conversion.model.listeners, good.model.listeners);
}

#[test]
fn data_is_base64_and_half_a_secret_is_an_error() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: edge}\ndata:\n  cert: '!'\n  key: aaaa\n";
    assert!(
        only_problem(&convert(&[("s.yaml", text)]))
            .contains("s.yaml:5:9: error[PC0210] Secret/edge/cert data.cert: this is not base64")
    );
    let text = text.replace("  key: aaaa\n", "");
    assert!(only_problem(&convert(&[("s.yaml", &text)])).contains("has `cert` but no `key`"));
    let text = text.replace("cert: '!'", "password: c2VjcmV0");
    assert_eq!(problems(&convert(&[("s.yaml", &text)])), [""; 0]);
}

#[test]
fn an_omitted_mode_is_passthrough() {
    let text = TLS.replace("mode: SIMPLE, ", "");
    let conversion = convert(&[("gw.yaml", &text)]);
    assert!(only_problem(&conversion).contains("error[PC0211] Gateway/edge/gw spec.servers[1].tls.credentialName: `credentialName` has no effect: an omitted `mode` means PASSTHROUGH"));
    let [_, secure] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!((secure.protocol, secure.tls.is_none()), (ListenerProtocol::Tls, true));
}

#[test]
fn protocols_that_are_not_served_yet_leave_their_server_out() {
    let text = GATEWAY.replace("protocol: HTTP}", "protocol: UDP}");
    let conversion = convert(&[("gw.yaml", &text)]);
    assert!(
        only_problem(&conversion)
            .contains("warning[PC0211] Gateway/edge/gw spec.servers[0].port.protocol")
    );
    assert!(conversion.model.listeners.is_empty());
}

#[test]
fn what_a_gateway_knows_and_does_not_serve_is_said() {
    for (written, said) in [
        (
            "protocol: HTTP, targetPort: 8080}",
            "PC0207] Gateway/edge/gw spec.servers[0].port.targetPort",
        ),
        (
            "protocol: HTTP}\n    defaultEndpoint: 127.0.0.1:80",
            "PC0207] Gateway/edge/gw spec.servers[0].defaultEndpoint",
        ),
    ] {
        let text = GATEWAY.replace("protocol: HTTP}", written);
        let conversion = convert(&[("gw.yaml", &text)]);
        assert!(only_problem(&conversion).contains(said), "{:?}", conversion.problems);
        assert_eq!(conversion.model.listeners.len(), 1);
    }
}

#[test]
fn who_served_before_keeps_a_port_that_two_want() {
    let newcomer = GATEWAY
        .replace("name: gw", "name: a")
        .replace("number: 80, name: http, protocol: HTTP", "number: 443, name: h, protocol: HTTP");
    let files = [("b.yaml", TLS), ("secret.yaml", &secret())];
    let first = convert(&files);
    let both = [("a.yaml", newcomer.replace("hosts: ['*']", "bind: 127.0.0.1\n    hosts: ['*']"))];
    let all = [(both[0].0, both[0].1.as_str()), files[0], files[1]];
    let served = |conversion: &super::Conversion| {
        let listeners = conversion.model.listeners.iter();
        listeners.map(|listener| listener.gateway.to_string()).collect::<Vec<_>>()
    };
    // At start the older one has it, here by its file's name.
    let conversion = convert(&all);
    assert!(only_problem(&conversion).contains("b.yaml:10:5: error[PC0308] Gateway/edge/gw spec.servers[1].port.protocol: port 443 cannot speak HTTPS here: Gateway/edge/a spec.servers[0] at a.yaml:8:5 speaks HTTP on it"));
    assert_eq!(served(&conversion), ["edge/a", "edge/gw"]);
    // At a reload the one that served.
    let conversion = convert_after(&all, &first.memory);
    assert!(only_problem(&conversion).contains("error[PC0308] Gateway/edge/a"));
    assert_eq!(served(&conversion), ["edge/gw", "edge/gw"]);
}
