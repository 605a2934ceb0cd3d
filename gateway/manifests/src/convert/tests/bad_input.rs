//! Everything that can be wrong with a manifest is said at its place, all at once, and nothing panics.

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::{GATEWAY, convert, only_problem, problems, route};

#[test]
fn all_problems_of_an_object_are_said_at_once() {
    let text = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: shop}
spec:
  hosts: ['a..b', 7]
  gateways: edge/gw
  http:
  - mtach: [{uri: {prefix: /}}]
    route: [{destination: {}}]
    timeout: 5
  - match: [{uri: {prefix: /a, exact: /b}}]
    redirect: {redirectCode: 200}
    fault: {}
    directResponse: {status: 99}
  - match: [{method: {}}]
    directResponse: {status: 99}
    headers: {request: {set: {content-length: '1', 'a b': c, Host: 'a b'}}}
    hosts: []
    hosts: []
";
    let conversion = convert(&[("a.yaml", text)]);
    let said: Vec<String> = problems(&conversion)
        .iter()
        .map(|problem| {
            problem.split(';').next().unwrap().replace(" VirtualService/shop/unnamed-in-line-2", "")
        })
        .collect();
    assert_eq!(
        said,
        [
            "a.yaml:4:11: error[PC0209] metadata.name: the object has no `metadata.name`",
            "a.yaml:6:11: error[PC0210] spec.hosts[0]: `a..b` is not a DNS name",
            "a.yaml:6:19: error[PC0208] spec.hosts[1]: this has to be a string, but is a number",
            "a.yaml:7:13: error[PC0208] spec.gateways: this has to be a list, but is a string",
            "a.yaml:9:5: error[PC0206] spec.http[0].mtach: an HTTP rule has no field `mtach`",
            "a.yaml:10:27: error[PC0209] spec.http[0].route[0].destination.host: a destination has no `host`",
            "a.yaml:11:14: error[PC0208] spec.http[0].timeout: this has to be a string, but is a number",
            "a.yaml:12:5: error[PC0212] spec.http[1]: only one of `fault`, `redirect` can be written",
            "a.yaml:12:5: error[PC0212] spec.http[1]: only one of `fault`, `directResponse` can be written",
            "a.yaml:12:5: error[PC0212] spec.http[1]: only one of `redirect`, `directResponse` can be written",
            "a.yaml:12:19: error[PC0212] spec.http[1].match[0].uri: only one of `exact`, `prefix` can be written",
            "a.yaml:14:12: error[PC0209] spec.http[1].fault.delay: a fault has no `delay`",
            "a.yaml:16:22: error[PC0210] spec.http[2].match[0].method: the condition says nothing",
            "a.yaml:17:30: error[PC0210] spec.http[2].directResponse.status: 99 is not from 200 to 599",
            "a.yaml:18:47: error[PC0210] spec.http[2].headers.request.set.content-length: the field `content-length` belongs to the connection and cannot be changed",
            "a.yaml:18:59: error[PC0210] spec.http[2].headers.request.set.a b: `a b` is no name of a header field",
            "a.yaml:18:68: error[PC0210] spec.http[2].headers.request.set.Host: `a b` is no authority",
            "a.yaml:19:5: error[PC0206] spec.http[2].hosts: an HTTP rule has no field `hosts`",
            "a.yaml:20:5: error[PC0104] spec.http[2].hosts: the key is written twice",
            "a.yaml:20:5: error[PC0206] spec.http[2].hosts: an HTTP rule has no field `hosts`",
        ],
        "{said:#?}"
    );
}

#[test]
fn kinds_and_groups_are_told_apart() {
    let of = |head: &str| {
        let text = format!("{head}\nmetadata: {{name: a}}\nspec: {{}}\n");
        let conversion = convert(&[("a.yaml", &text)]);
        problems(&conversion)
    };
    let says = |head: &str, start: &str| {
        let found = of(head);
        assert!(found.len() == 1 && found[0].contains(start), "{head}: {found:#?}");
    };
    says(
        "apiVersion: networking.istio.io/v1\nkind: VirtualServce",
        "a.yaml:1:1: error[PC0201] VirtualServce/default/a: the group `networking.istio.io` has no kind `VirtualServce`; did you mean `VirtualService`?",
    );
    says(
        "apiVersion: v1\nkind: Gateway",
        "error[PC0201] Gateway/default/a: the group `core` has no kind `Gateway`; its apiVersion is `networking.istio.io/v1`",
    );
    says("apiVersion: networking.istio.io/v2\nkind: Gateway", "error[PC0202]");
    says("apiVersion: apps/v1\nkind: Deployment", "warning[PC0203]");
    says("apiVersion: networking.istio.io/v1\nkind: EnvoyFilter", "warning[PC0204]");
    says("apiVersion: gateway.networking.k8s.io/v1\nkind: UDPRoute", "warning[PC0204]");
    says("apiVersion: security.istio.io/v1\nkind: PeerAuthentication", "warning[PC0204]");
    assert_eq!(of("apiVersion: v1\nkind: Namespace"), [""; 0]);
    assert_eq!(of("apiVersion: v1\nkind: ConfigMap"), [""; 0]);
}

#[test]
fn a_missing_gateway_is_an_error_with_a_hint() {
    let text = route("a", "*", "[{directResponse: {status: 200}}]").replace("[edge/gw]", "[gw]");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &text)]);
    assert_eq!(
        only_problem(&conversion),
        "a.yaml:6:14: error[PC0303] VirtualService/shop/a spec.gateways[0]: there is no Gateway `shop/gw`; did you mean `edge/gw`?"
    );
    let text = text.replace("  gateways: [gw]\n", "");
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &text)]);
    assert!(only_problem(&conversion).contains("warning[PC0311]"));
}

#[test]
fn a_status_and_unknown_metadata_are_skipped_silently() {
    let text = GATEWAY
        .replace("metadata: {", "status: {x: 1}\nmetadata: {managedFields: [1], generation: 3, ");
    assert_eq!(problems(&convert(&[("gw.yaml", &text)])), [""; 0]);
}

/// Pieces that make texts which get further than noise does.
const PIECES: [&str; 24] = [
    "apiVersion: networking.istio.io/v1\n",
    "apiVersion: v1\n",
    "apiVersion: extensions.istio.io/v1alpha1\n",
    "kind: VirtualService\n",
    "kind: Gateway\n",
    "kind: WasmPlugin\n",
    "kind: Secret\n",
    "kind: List\n",
    "metadata: {name: a}\n",
    "metadata:\n",
    "spec:\n",
    "  http:\n",
    "  - match: [{uri: {prefix: /}}]\n",
    "    route: [{destination: {host: a}}]\n",
    "  hosts: ['*']\n",
    "  servers:\n",
    "---\n",
    "&a [*a]\n",
    "<<: *a\n",
    "? {a: b}\n",
    "items: [{apiVersion: v1, kind: Secret}]\n",
    "data: {tls.crt: '', tls.key: ''}\n",
    "- \n",
    "\"\\ud800\"\n",
];

/// Every field of upstreams.
const UPSTREAMS: &str = include_str!("../../../../fuzz/corpus/manifests/upstreams.yaml");

/// Every field of VirtualServices.
const VIRTUAL_SERVICES: &str =
    include_str!("../../../../fuzz/corpus/manifests/virtual-services.yaml");

#[test]
fn what_the_fuzzer_begins_with_is_good() {
    assert_eq!(problems(&convert(&[("a.yaml", UPSTREAMS)])), [""; 0]);
    assert_eq!(problems(&convert(&[("a.yaml", VIRTUAL_SERVICES)])), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        convert(&[("a.yaml", &String::from_utf8_lossy(&bytes))]);
    }

    #[test]
    fn no_pieces_panic(chosen in prop::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = chosen.iter().map(|piece| PIECES[*piece]).collect();
        let first = convert(&[("a.yaml", &text)]);
        super::convert_after(&[("a.yaml", &text)], &first.memory);
    }

    #[test]
    fn no_damage_to_upstreams_panics(at in 0..UPSTREAMS.len(), byte in any::<u8>()) {
        let mut bytes = UPSTREAMS.as_bytes().to_vec();
        bytes[at] = byte;
        convert(&[("a.yaml", &String::from_utf8_lossy(&bytes))]);
    }

    #[test]
    fn no_damage_to_virtual_services_panics(at in 0..VIRTUAL_SERVICES.len(), byte in any::<u8>()) {
        let mut bytes = VIRTUAL_SERVICES.as_bytes().to_vec();
        bytes[at] = byte;
        convert(&[("a.yaml", &String::from_utf8_lossy(&bytes))]);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0usize..600, byte in any::<u8>()) {
        let good = format!("{GATEWAY}---{}---\n{}", super::REVIEWS, route("a", "*", "[{directResponse: {status: 200}}]"));
        let mut bytes = good.into_bytes();
        if let Some(target) = bytes.get_mut(at) {
            *target = byte;
        }
        convert(&[("a.yaml", &String::from_utf8_lossy(&bytes))]);
    }
}
