//! EdgePolicies: what they may say, whose word counts, and what serves when one is broken.

use std::time::Duration;

use portcullis_message::{Backslashes, EscapedSlashes, HeadRules, Slashes, Underscores};
use portcullis_model::{
    ConnectionPolicy, HeadLimits, Http2Limits, ProxyProtocol, RequestOverrides, RequestPolicy,
};

use super::{Conversion, GATEWAY, convert, convert_after, only_problem, problems, route};
use crate::Memory;
use crate::convert::into_model;
use crate::draft::Draft;

/// An EdgePolicy of `namespace/name` with this `spec`, in flow style or indented by two.
fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn for_gateway(target: &str, rest: &str) -> String {
    format!("{{targetRefs: [{{kind: Gateway, {target}}}], {rest}}}")
}

/// The Gateway and these policies, in their order.
fn with_policies(policies: &[&str]) -> Conversion {
    let names: Vec<String> = (0..policies.len()).map(|number| format!("{number}.yaml")).collect();
    let mut files = vec![("gw.yaml", GATEWAY)];
    files.extend(names.iter().map(String::as_str).zip(policies.iter().copied()));
    convert(&files)
}

fn idle(conversion: &Conversion) -> u64 {
    conversion.model.listeners[0].connections.idle.as_secs()
}

const ALL: &str = "
  timeouts: {tlsHandshake: 5s, firstByte: 6s, requestHead: 7s, idle: 2m, maxAge: off, streamIdle: 0s, stalledBody: 1m30s}
  limits: {connections: 5, headBytes: 32Ki, fieldBytes: 4096, requestLineBytes: 8Ki, fields: 50, requestBody: 10Mi, minRate: 1k}
  http2: {streams: 10, streamWindow: 128Ki, connectionWindow: 2Mi, controlFrames: 20}
  path: {mergeSlashes: false, escapedSlashes: keep, backslashes: toSlash}
  headers: {underscores: allow}";

#[test]
fn every_field_reaches_the_model() {
    let conversion = with_policies(&[&policy("edge", "p", ALL)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let [listener] = conversion.model.listeners.as_slice() else { panic!() };
    let connections = ConnectionPolicy {
        tls_handshake: Duration::from_secs(5),
        first_byte: Duration::from_secs(6),
        request_head: Duration::from_secs(7),
        idle: Duration::from_secs(120),
        max_age: None,
        max_connections: 5,
        proxy_protocol: ProxyProtocol::Off,
        head: HeadLimits { total: 32 << 10, field: 4096, line: 8 << 10, fields: 50 },
        http2: Http2Limits {
            streams: 10,
            stream_window: 128 << 10,
            connection_window: 2 << 20,
            control_frames: 20,
        },
    };
    assert_eq!(*listener.connections, connections);
    let requests = RequestPolicy {
        max_body: Some(10 << 20),
        stream_idle: None,
        stalled_body: Some(Duration::from_secs(90)),
        min_rate: 1000,
        head: HeadRules::ISTIO,
    };
    assert_eq!(listener.requests, requests);
}

#[test]
fn without_a_policy_the_defaults_serve() {
    let conversion = with_policies(&[&policy("other", "p", "{timeouts: {idle: 20s}}")]);
    assert_eq!(problems(&conversion), [""; 0]);
    let [listener] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!(*listener.connections, ConnectionPolicy::default());
    assert_eq!(listener.requests, RequestPolicy::default());
}

#[test]
fn off_is_off_however_yaml_reads_it() {
    for off in ["off", "'off'", "false", "0s", "'0'"] {
        let spec =
            format!("{{timeouts: {{maxAge: {off}, streamIdle: {off}, stalledBody: {off}}}}}");
        let conversion = with_policies(&[&policy("edge", "p", &spec)]);
        assert_eq!(problems(&conversion), [""; 0], "{off}");
        let listener = &conversion.model.listeners[0];
        assert_eq!(listener.connections.max_age, None);
        assert_eq!((listener.requests.stream_idle, listener.requests.stalled_body), (None, None));
    }
    for rate in ["off", "0", "false"] {
        let spec = format!("{{limits: {{minRate: {rate}, requestBody: off}}}}");
        let conversion = with_policies(&[&policy("edge", "p", &spec)]);
        assert_eq!(problems(&conversion), [""; 0], "{rate}");
        let requests = conversion.model.listeners[0].requests;
        assert_eq!((requests.min_rate, requests.max_body), (0, None));
    }
}

#[test]
fn the_most_specific_wins_field_by_field() {
    let mesh = policy(
        "istio-system",
        "mesh",
        "{timeouts: {idle: 10s, firstByte: 1s, requestHead: 1s, tlsHandshake: 1s}, limits: {fields: 90}}",
    );
    let namespace = policy(
        "edge",
        "ns",
        "{timeouts: {idle: 20s, firstByte: 2s, requestHead: 2s}, path: {mergeSlashes: false}}",
    );
    let gateway = for_gateway("name: gw", "timeouts: {idle: 30s, firstByte: 3s}");
    let gateway = policy("edge", "gw", &gateway);
    let server = for_gateway("name: gw, sectionName: http", "timeouts: {idle: 40s}");
    let server = policy("edge", "server", &server);
    let mut all = [&*mesh, &namespace, &gateway, &server];
    for _ in 0..2 {
        let conversion = with_policies(&all);
        assert_eq!(problems(&conversion), [""; 0]);
        let listener = &conversion.model.listeners[0];
        let connections = &listener.connections;
        let times = [
            connections.idle,
            connections.first_byte,
            connections.request_head,
            connections.tls_handshake,
        ];
        assert_eq!(times.map(|time| time.as_secs()), [40, 3, 2, 1]);
        assert_eq!(connections.head, HeadLimits { fields: 90, ..HeadLimits::default() });
        assert_eq!(listener.requests.head.slashes, Slashes::Kept);
        assert_eq!(listener.requests.head.escaped_slashes, EscapedSlashes::Refused);
        all.reverse();
    }
}

#[test]
fn of_two_at_one_level_the_older_wins() {
    let a = policy("edge", "a", "{timeouts: {idle: 20s}, limits: {fields: 50}}");
    let b = policy("edge", "b", "{timeouts: {idle: 30s}, limits: {fields: 50, connections: 7}}");
    let conversion = with_policies(&[&a, &b]);
    assert_eq!(
        only_problem(&conversion),
        "1.yaml:4:25: warning[PC0315] EdgePolicy/edge/b spec.timeouts.idle: this is set for Gateway/edge/gw by EdgePolicy/edge/a at 0.yaml:4:25 too, which is older and serves; keep one of the two, or give one a narrower target"
    );
    assert_eq!(idle(&conversion), 20);
    assert_eq!(conversion.model.listeners[0].connections.max_connections, 7);
    let b = b.replace("name: b,", "name: b, creationTimestamp: '2024-01-01T00:00:00Z',");
    let conversion = with_policies(&[&a, &b]);
    assert!(only_problem(&conversion).contains("EdgePolicy/edge/a spec.timeouts.idle"));
    assert_eq!(idle(&conversion), 30);
}

/// Another Gateway on the same port, with this bind.
fn second_gateway(bind: &str) -> String {
    GATEWAY
        .replace("name: gw", "name: second")
        .replace("hosts: ['*']", &format!("hosts: [b.example.com]\n{bind}"))
}

#[test]
fn a_socket_has_the_settings_of_its_oldest_gateway() {
    let second = second_gateway("");
    let p1 = policy("edge", "p1", &for_gateway("name: gw", "timeouts: {idle: 20s}"));
    let p2 = policy(
        "edge",
        "p2",
        &for_gateway("name: second", "timeouts: {idle: 30s, firstByte: 5s}, limits: {minRate: 5}"),
    );
    let files = [("a.yaml", GATEWAY), ("b.yaml", &second), ("p.yaml", &format!("{p1}---\n{p2}"))];
    let conversion = convert(&files);
    let said = only_problem(&conversion);
    assert!(
        said.starts_with("p.yaml:9:") && said.contains("warning[PC0316] EdgePolicy/edge/p2 spec.timeouts.idle: Gateway/edge/second shares port 80 with Gateway/edge/gw, and EdgePolicy/edge/p1 sets this otherwise at p.yaml:4:"),
        "{said}"
    );
    let [first, second] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!(first.connections, second.connections);
    assert_eq!((first.connections.idle.as_secs(), first.connections.first_byte.as_secs()), (20, 5));
    // What concerns requests is each server's own.
    assert_eq!((first.requests.min_rate, second.requests.min_rate), (100, 5));
}

#[test]
fn what_is_set_for_the_mesh_gives_way_without_a_word() {
    let second = second_gateway("");
    let mesh = policy("istio-system", "mesh", "{timeouts: {idle: 10s}}");
    let own = policy("edge", "own", &for_gateway("name: second", "timeouts: {idle: 30s}"));
    let files =
        [("a.yaml", GATEWAY), ("b.yaml", &second), ("p.yaml", &format!("{mesh}---\n{own}"))];
    let conversion = convert(&files);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(idle(&conversion), 30);
}

#[test]
fn another_address_is_another_socket() {
    let second = second_gateway("    bind: 127.0.0.1");
    let p1 = policy("edge", "p1", &for_gateway("name: gw", "timeouts: {idle: 20s}"));
    let p2 = policy("edge", "p2", &for_gateway("name: second", "timeouts: {idle: 30s}"));
    let files = [("a.yaml", GATEWAY), ("b.yaml", &second), ("p.yaml", &format!("{p1}---\n{p2}"))];
    let conversion = convert(&files);
    assert_eq!(problems(&conversion), [""; 0]);
    let idle: Vec<_> =
        conversion.model.listeners.iter().map(|l| l.connections.idle.as_secs()).collect();
    assert_eq!(idle, [20, 30]);
}

#[test]
fn a_virtual_service_and_its_rules_set_what_is_theirs() {
    let rules = "[{name: upload, match: [{uri: {prefix: /upload}}], directResponse: {status: 200}}, {directResponse: {status: 200}}]";
    let routes = route("a", "a.example.com", rules);
    let service = policy(
        "shop",
        "service",
        "{targetRefs: [{group: networking.istio.io, kind: VirtualService, name: a}], limits: {requestBody: 1Mi, minRate: 5}}",
    );
    let rule = policy(
        "shop",
        "rule",
        "{targetRefs: [{kind: VirtualService, name: a, sectionName: upload}], limits: {requestBody: off}, timeouts: {streamIdle: 1h, stalledBody: off}}",
    );
    let conversion = with_policies(&[&routes, &service, &rule]);
    assert_eq!(problems(&conversion), [""; 0]);
    let rules = &conversion.model.listeners[0].virtual_hosts[0].rules;
    let of_service = RequestOverrides {
        max_body: Some(Some(1 << 20)),
        min_rate: Some(5),
        ..RequestOverrides::default()
    };
    let of_rule = RequestOverrides {
        max_body: Some(None),
        stream_idle: Some(Some(Duration::from_secs(3600))),
        stalled_body: Some(None),
        ..of_service
    };
    assert_eq!([*rules[0].overrides, *rules[1].overrides], [of_rule, of_service]);
}

#[test]
fn each_bad_value_says_what_to_write() {
    for (spec, expected) in [
        (
            "{timeouts: {idle: 0s}}",
            "error[PC0210] EdgePolicy/edge/p spec.timeouts.idle: this cannot be switched off; write a duration from 1s to 24h",
        ),
        (
            "{timeouts: {idle: off}}",
            "spec.timeouts.idle: this cannot be switched off; write a duration from 1s to 24h",
        ),
        (
            "{timeouts: {tlsHandshake: 10m}}",
            "spec.timeouts.tlsHandshake: 600s is not from 1s to 5m",
        ),
        (
            "{timeouts: {firstByte: 500ms}}",
            "500ms is not from 1s to 5m; write a duration between the two, or leave the field out",
        ),
        ("{timeouts: {requestHead: 1h}}", "3600s is not from 1s to 5m"),
        ("{timeouts: {maxAge: 1000h}}", "is not from 1s to 168h"),
        ("{timeouts: {streamIdle: 25h}}", "is not from 1s to 24h"),
        ("{timeouts: {stalledBody: 2h}}", "is not from 1s to 1h"),
        ("{timeouts: {stalledBody: true}}", "error[PC0208]"),
        ("{timeouts: {ilde: 5s}}", "timeouts has no field `ilde`; did you mean `idle`?"),
        ("{limits: {connections: 0}}", "spec.limits.connections: 0 is not from 1 to 1000000"),
        (
            "{limits: {headBytes: 2Mi}}",
            "this is no size from 1Ki to 1Mi; write bytes as a number, or with a unit such as Ki or Mi",
        ),
        ("{limits: {headBytes: 10}}", "this is no size from 1Ki to 1Mi"),
        ("{limits: {headBytes: -1}}", "this is no size from 1Ki to 1Mi"),
        ("{limits: {headBytes: off}}", "this is no size from 1Ki to 1Mi"),
        ("{limits: {fieldBytes: 64kb}}", "this is no size from 256 to 1Mi"),
        ("{limits: {requestLineBytes: 64Ki}}", "this is no size from 256 to 60Ki"),
        ("{limits: {fields: 101}}", "101 is not from 1 to 100"),
        ("{limits: {requestBody: 0}}", "this is no size from 1 to 1Ti"),
        ("{limits: {minRate: 2Mi}}", "this is no size from 0 to 1Mi"),
        ("{http2: {streams: 0}}", "0 is not from 1 to 10000"),
        ("{http2: {streamWindow: 1}}", "this is no size from 1Ki to 16Mi"),
        ("{http2: {connectionWindow: 1Ki}}", "this is no size from 64Ki to 64Mi"),
        ("{http2: {controlFrames: 0}}", "0 is not from 1 to 10000"),
        ("{path: {mergeSlashes: keep}}", "spec.path.mergeSlashes: this has to be a boolean"),
        ("{path: {escapedSlashes: kep}}", "`kep` is not known here; did you mean `keep`?"),
        ("{path: {backslashes: keep}}", "spec.path.backslashes: `keep` is not known here"),
        ("{headers: {underscores: true}}", "spec.headers.underscores: this has to be a string"),
        ("{limit: {fields: 1}}", "an EdgePolicy has no field `limit`; did you mean `limits`?"),
        (
            "{targetRefs: [], limits: {fields: 1}}",
            "spec.targetRefs: an empty list is no target; leave `targetRefs` out",
        ),
        (
            "{targetRefs: [{kind: Service, name: a}]}",
            "spec.targetRefs[0].kind: an EdgePolicy cannot be for a Service; write Gateway, ListenerSet, VirtualService, HTTPRoute or GRPCRoute",
        ),
        (
            "{targetRefs: [{kind: Gateway}]}",
            "error[PC0209] EdgePolicy/edge/p spec.targetRefs[0].name",
        ),
        (
            "{targetRefs: [{kind: Gateway, name: gw, namespace: other}]}",
            "an EdgePolicy is for its own namespace, `edge`; write the policy in the target's namespace",
        ),
        (
            "{targetRefs: [{kind: VirtualService, name: gw, group: gateway.networking.k8s.io}]}",
            "write `networking.istio.io`, or leave `group` out",
        ),
    ] {
        let conversion = with_policies(&[&policy("edge", "p", spec)]);
        let said = only_problem(&conversion);
        assert!(said.starts_with("0.yaml:4:") && said.contains(expected), "{spec}: {said}");
        assert!(said.ends_with("until then the object is left out"), "{said}");
        assert_eq!(*conversion.model.listeners[0].connections, ConnectionPolicy::default());
    }
}

#[test]
fn what_counts_before_the_route_cannot_be_set_for_it() {
    let routes = route("a", "a.example.com", "[{directResponse: {status: 200}}]");
    for (section, field) in [
        ("timeouts: {idle: 5s}", "timeouts.idle"),
        ("path: {mergeSlashes: false}", "path.mergeSlashes"),
    ] {
        let spec = format!("{{targetRefs: [{{kind: VirtualService, name: a}}], {section}}}");
        let conversion = with_policies(&[&routes, &policy("shop", "p", &spec)]);
        let said = only_problem(&conversion);
        let expected = format!(
            "error[PC0210] EdgePolicy/shop/p spec.{field}: this cannot be set for a VirtualService, which spec.targetRefs[0] names: it counts before the route is known; set it for the Gateway"
        );
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_target_that_is_missing_is_said() {
    let routes = route("a", "a.example.com", "[{name: one, directResponse: {status: 200}}]");
    for (namespace, target, expected) in [
        (
            "edge",
            "kind: Gateway, name: wg",
            "spec.targetRefs[0].name: there is no Gateway `edge/wg`",
        ),
        (
            "other",
            "kind: Gateway, name: gw",
            "there is no Gateway `other/gw`; write it, or correct the name; a target is looked for in the policy's own namespace",
        ),
        (
            "edge",
            "kind: Gateway, name: gw, sectionName: https",
            "spec.targetRefs[0].sectionName: Gateway `gw` has no server `https`; it has: http",
        ),
        ("edge", "kind: VirtualService, name: a", "there is no VirtualService `edge/a`"),
        (
            "shop",
            "kind: VirtualService, name: a, sectionName: two",
            "VirtualService `a` has no http rule `two`; it has: one",
        ),
    ] {
        let spec = format!("{{targetRefs: [{{{target}}}], limits: {{minRate: 5}}}}");
        let conversion = with_policies(&[&routes, &policy(namespace, "p", &spec)]);
        let said = only_problem(&conversion);
        assert!(said.contains("error[PC0317]") && said.contains(expected), "{said}");
        assert_eq!(conversion.model.listeners[0].requests, RequestPolicy::default());
    }
}

#[test]
fn a_policy_that_sets_nothing_is_a_warning() {
    let conversion = with_policies(&[&policy("edge", "p", "{}")]);
    assert!(
        only_problem(&conversion)
            .contains("warning[PC0209] EdgePolicy/edge/p spec: the EdgePolicy sets nothing")
    );
}

#[test]
fn a_broken_policy_keeps_its_last_good_version() {
    let good = policy("edge", "p", "{timeouts: {idle: 20s}}");
    let mut memory = with_policies(&[&good]).memory;
    let broken = policy("edge", "p", "{timeouts: {idle: 30s, firstByte: never}}");
    for _ in 0..2 {
        let conversion = convert_after(&[("gw.yaml", GATEWAY), ("0.yaml", &broken)], &memory);
        assert!(only_problem(&conversion).ends_with("until then its last good version serves on"));
        assert_eq!(idle(&conversion), 20);
        memory = conversion.memory;
    }
    let conversion = convert_after(&[("gw.yaml", GATEWAY)], &memory);
    assert_eq!(idle(&conversion), 75);
}

#[test]
fn the_rules_for_heads_begin_where_the_caller_says() {
    let text = format!("{GATEWAY}---\n{}", policy("edge", "p", "{path: {backslashes: refuse}}"));
    let source = crate::draft::SourceFile {
        path: "a.yaml".into(),
        directory: std::path::PathBuf::new(),
        text: text.into(),
    };
    let draft = Draft::read(vec![source]);
    let conversion = into_model(&draft, &Memory::default(), HeadRules::ISTIO);
    let head = conversion.model.listeners[0].requests.head;
    assert_eq!(head.backslashes, Backslashes::Refused);
    assert_eq!((head.slashes, head.underscores), (Slashes::Kept, Underscores::Allowed));
}

#[test]
fn a_gateway_asks_for_the_proxy_protocol_by_annotation() {
    let annotated = |value: &str| {
        let annotations = format!("annotations: {{portcullis.dev/{value}}}");
        GATEWAY.replace("namespace: edge}", &format!("namespace: edge, {annotations}}}"))
    };
    for (value, expected) in [
        ("proxy-protocol: accept", ProxyProtocol::Accept),
        ("proxy-protocol: require", ProxyProtocol::Require),
        ("proxy-protocol: 'off'", ProxyProtocol::Off),
    ] {
        let conversion = convert(&[("gw.yaml", &annotated(value))]);
        assert_eq!(problems(&conversion), [""; 0]);
        assert_eq!(conversion.model.listeners[0].connections.proxy_protocol, expected);
    }
    for (value, expected) in [
        (
            "proxy-protocol: requird",
            "error[PC0210] Gateway/edge/gw metadata.annotations[portcullis.dev/proxy-protocol]: `requird` is not known here; did you mean `require`?",
        ),
        (
            "proxy-protocl: require",
            "error[PC0206] Gateway/edge/gw metadata.annotations[portcullis.dev/proxy-protocl]: there is no annotation `portcullis.dev/proxy-protocl` of a Gateway; did you mean `portcullis.dev/proxy-protocol`?",
        ),
    ] {
        let said = only_problem(&convert(&[("gw.yaml", &annotated(value))]));
        assert!(said.contains(expected), "{said}");
    }
    // Of two on one socket the older one counts.
    let second = second_gateway("").replace(
        "namespace: edge}",
        "namespace: edge, annotations: {portcullis.dev/proxy-protocol: accept}}",
    );
    let files = [("a.yaml", &*annotated("proxy-protocol: require")), ("b.yaml", &*second)];
    let conversion = convert(&files);
    let said = only_problem(&conversion);
    assert!(said.contains("warning[PC0316] Gateway/edge/second metadata.annotations[portcullis.dev/proxy-protocol]: Gateway/edge/second shares port 80 with Gateway/edge/gw, and Gateway/edge/gw sets this otherwise"), "{said}");
    assert_eq!(conversion.model.listeners[1].connections.proxy_protocol, ProxyProtocol::Require);
}
