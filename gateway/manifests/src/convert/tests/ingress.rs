//! Ingresses: whose they are, their order, their TLS, and every wrong value.

use portcullis_model::{Action, ListenerProtocol, PathMatch};

use super::{GATEWAY, convert, convert_after, only_problem, problems, rendered, route};

/// A Service with a named port and an endpoint.
fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{ports: [{{port: 80, name: http}}, {{port: 8443, name: admin}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}, {{name: admin, port: 9443}}]\nendpoints: [{{addresses: [10.0.0.1]}}]\n---\n"
    )
}

/// A Secret with a certificate and its key.
fn secret(name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let lines = |text: &str| text.replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n---\n",
        lines(chain.trim_end()),
        lines(key.trim_end())
    )
}

/// An Ingress with this `spec`, in flow style or indented by two.
fn ingress(name: &str, spec: &str) -> String {
    annotated(name, "", spec)
}

fn annotated(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, annotations: {{{annotations}}}}}\nspec: {spec}\n---\n"
    )
}

fn class(name: &str, controller: &str, default: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}, annotations: {{ingressclass.kubernetes.io/is-default-class: '{default}'}}}}\nspec: {{controller: {controller}}}\n---\n"
    )
}

fn path(kind: &str, path: &str, service: &str) -> String {
    format!(
        "{{path: {path}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}"
    )
}

fn rule(host: &str, paths: &[String]) -> String {
    format!("{{host: {host}, http: {{paths: [{}]}}}}", paths.join(", "))
}

fn rules(rules: &[String]) -> String {
    format!("{{rules: [{}]}}", rules.join(", "))
}

#[test]
fn every_path_of_an_ingress_becomes_a_rule_the_exact_and_the_longest_first() {
    let paths = [
        path("Prefix", "/", "web"),
        path("Prefix", "/api/", "web"),
        path("ImplementationSpecific", "/api/v2", "web"),
        path("Exact", "/api", "web"),
    ];
    let text = service("web") + &ingress("shop", &rules(&[rule("Shop.example.com", &paths)]));
    let conversion = convert(&[("a.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        rendered(&conversion.model),
        "shop/shop http 80 HTTP
  shop.example.com
    Ingress/shop/shop/shop.example.com/api =/api
      1% outbound|80||web.shop.svc.cluster.local
    Ingress/shop/shop/shop.example.com/api/v2 /api/v2/*
      1% outbound|80||web.shop.svc.cluster.local
    Ingress/shop/shop/shop.example.com/api/ /api/*
      1% outbound|80||web.shop.svc.cluster.local
    Ingress/shop/shop/shop.example.com/ /*
      1% outbound|80||web.shop.svc.cluster.local
"
    );
}

#[test]
fn several_ingresses_share_a_host_and_the_oldest_has_a_path_that_two_have() {
    let old = rules(&[rule("a.test", &[path("Prefix", "/", "web"), path("Exact", "/x", "web")])]);
    let new =
        rules(&[rule("a.test", &[path("Prefix", "/deep", "web"), path("Exact", "/x", "web")])]);
    let text = service("web") + &ingress("old", &old) + &ingress("new", &new);
    let conversion = convert(&[("a.yaml", &text)]);
    let problem = only_problem(&conversion);
    assert!(problem.starts_with("a.yaml:21:"), "{problem}");
    assert!(problem.contains("warning[PC0309] Ingress/shop/new spec.rules[0].http.paths[1]: this never matches: Ingress/shop/old spec.rules[0].http.paths[1]"), "{problem}");
    let listeners = &conversion.model.listeners;
    let ids = |index: usize| -> Vec<&str> {
        let hosts = listeners[index].virtual_hosts.iter();
        hosts.flat_map(|host| host.rules.iter().map(|rule| &*rule.id)).collect()
    };
    let all =
        ["Ingress/shop/old/a.test/x", "Ingress/shop/new/a.test/deep", "Ingress/shop/old/a.test/"];
    assert_eq!(ids(0), all);
    assert_eq!(ids(1), [""; 0], "the first listener of the host has all of them");
}

#[test]
fn a_default_backend_takes_what_nothing_else_does() {
    let spec = "
  defaultBackend: {service: {name: web, port: {name: admin}}}
  rules:
  - host: a.test
    http: {paths: [{path: /x, pathType: Exact, backend: {service: {name: web, port: {name: http}}}}]}
  - host: b.test";
    let text = service("web") + &ingress("shop", spec);
    let conversion = convert(&[("a.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        rendered(&conversion.model),
        "shop/shop http 80 HTTP
  *
    Ingress/shop/shop/defaultBackend
      1% outbound|8443||web.shop.svc.cluster.local
  a.test
    Ingress/shop/shop/a.test/x =/x
      1% outbound|80||web.shop.svc.cluster.local
    Ingress/shop/shop/defaultBackend
      1% outbound|8443||web.shop.svc.cluster.local
  b.test
    Ingress/shop/shop/defaultBackend
      1% outbound|8443||web.shop.svc.cluster.local
"
    );
}

#[test]
fn a_wildcard_takes_a_single_label_and_the_rest_goes_to_rules_without_a_host() {
    let spec = "
  rules:
  - host: '*.a.test'
    http: {paths: [{path: /x, pathType: Exact, backend: {service: {name: web, port: {number: 80}}}}]}
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}";
    let text = service("web") + &ingress("shop", spec);
    let conversion = convert(&[("a.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let hosts = &conversion.model.listeners[0].virtual_hosts;
    let narrowed = hosts.iter().find(|host| host.host.to_string() == "*.a.test").unwrap();
    let takes = |rule: usize, host: &str| {
        narrowed.rules[rule].matches[0].authority.as_ref().unwrap().matches(host)
    };
    assert_eq!(narrowed.rules.len(), 2);
    assert!(takes(0, "x.a.test") && !takes(0, "y.x.a.test") && !takes(0, "x.aatest"));
    assert!(!takes(1, "x.a.test") && takes(1, "y.x.a.test") && takes(1, "z.y.x.a.test"));
    let every = hosts.iter().find(|host| host.host.to_string() == "*").unwrap();
    assert_eq!(
        every.rules[0].matches[0].authority, None,
        "where it is not needed, nothing is looked at"
    );
}

#[test]
fn tls_is_served_on_443_by_name_and_a_missing_secret_takes_its_own_hosts_alone() {
    let spec = "
  tls:
  - {hosts: [a.test], secretName: a}
  - {hosts: [b.test], secretName: missing}
  - {hosts: [c.test]}
  rules:
  - host: a.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
  - host: b.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
  - host: c.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}";
    let secret = secret("a");
    let text = service("web") + &ingress("shop", spec) + &secret;
    let conversion = convert(&[("a.yaml", &text)]);
    let found = problems(&conversion);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("error[PC0301] Ingress/shop/shop spec.tls[1].secretName: there is no Secret/shop/missing"), "{}", found[0]);
    assert!(
        found[1].contains("warning[PC0217] Ingress/shop/shop spec.tls[2]: without a `secretName`"),
        "{}",
        found[1]
    );
    let listeners = &conversion.model.listeners;
    let seen: Vec<_> = listeners
        .iter()
        .map(|listener| {
            let tls = listener.tls.as_ref().map(|tls| tls.credentials.len());
            (&*listener.server, listener.port, listener.protocol, tls, listener.virtual_hosts.len())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("http", 80, ListenerProtocol::Http, None, 3),
            ("https-a", 443, ListenerProtocol::Https, Some(1), 1),
            ("https-missing", 443, ListenerProtocol::Https, Some(0), 1),
        ]
    );
}

#[test]
fn a_host_of_tls_that_no_rule_is_for_is_said() {
    let said = |hosts: &str, more: &str| {
        let shop = rule("a.test", &[path("Prefix", "/", "web")]);
        let spec = format!("{{tls: [{{hosts: [{hosts}], secretName: a}}], rules: [{shop}]{more}}}");
        let other = ingress("other", &rules(&[rule("b.test", &[path("Prefix", "/", "web")])]));
        let text = service("web") + &ingress("shop", &spec) + &other + &secret("a");
        let mut said = problems(&convert(&[("a.yaml", &text)]));
        // The certificate is for one name.
        said.retain(|line| !line.contains("PC0319"));
        said
    };
    // The rules of all Ingresses are one list.
    assert_eq!(said("a.test, b.test", ""), [""; 0]);
    let found = said("c.test", "");
    assert!(
        found.iter().any(|line| line.contains(
            "warning[PC0217] Ingress/shop/shop spec.tls[0].hosts: no rule is for `c.test`"
        )),
        "{found:?}"
    );
    let default = ", defaultBackend: {service: {name: web, port: {number: 80}}}";
    assert!(!said("c.test", default).iter().any(|line| line.contains("no rule is for")));
}

#[test]
fn an_ingress_is_ours_by_its_class() {
    let ours = "portcullis.dev/ingress-controller";
    let theirs = "example.com/other";
    let spec = |class: &str| {
        let class =
            if class.is_empty() { String::new() } else { format!("ingressClassName: {class}, ") };
        format!("{{{class}defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}}}")
    };
    let served = |classes: String, ingress: String| {
        let text = service("web") + &classes + &ingress;
        let conversion = convert(&[("a.yaml", &text)]);
        (!conversion.model.listeners.is_empty(), problems(&conversion))
    };
    let ok = |served| (served, Vec::new());
    let no_class = String::new;
    assert_eq!(served(no_class(), ingress("i", &spec(""))), ok(true), "no class at all");
    assert_eq!(served(no_class(), ingress("i", &spec("portcullis"))), ok(true));
    assert_eq!(served(class("x", ours, "false"), ingress("i", &spec("x"))), ok(true));
    let is_left = |(served, found): (bool, Vec<String>)| {
        !served && found.len() == 1 && found[0].contains("warning[PC0340] IngressClass/default/x spec.controller: Ingress/shop/i is left to the controller `example.com/other`")
    };
    assert!(is_left(served(class("x", theirs, "false"), ingress("i", &spec("x")))));
    assert_eq!(served(class("x", theirs, "false"), ingress("i", &spec(""))), ok(true));
    assert!(is_left(served(class("x", theirs, "true"), ingress("i", &spec("")))));
    let both = class("x", theirs, "true") + &class("z", ours, "true");
    assert_eq!(served(both, ingress("i", &spec(""))), ok(true));
    let by_annotation =
        |class: &str| annotated("i", &format!("kubernetes.io/ingress.class: {class}"), &spec(""));
    assert!(is_left(served(class("x", theirs, "false"), by_annotation("x"))));
    assert_eq!(served(class("x", ours, "false"), by_annotation("x")), ok(true));
    let (is_served, found) = served(no_class(), ingress("i", &spec("nginx")));
    assert!(!is_served && found[0].contains("warning[PC0340] Ingress/shop/i spec.ingressClassName: there is no IngressClass `nginx`"), "{found:?}");
    let differing = annotated("i", "kubernetes.io/ingress.class: portcullis", &spec("nginx"));
    let (is_served, found) = served(no_class(), differing);
    assert!(is_served && found[0].contains("warning[PC0217] Ingress/shop/i spec.ingressClassName: the annotation says `portcullis`, which counts"), "{found:?}");
}

#[test]
fn annotations_for_others_are_said_and_what_protects_fails_closed() {
    let spec = rules(&[rule("a.test", &[path("Prefix", "/", "web")])]);
    let rewrite =
        "nginx.ingress.kubernetes.io/rewrite-target: /, alb.ingress.kubernetes.io/scheme: internal";
    let text = service("web") + &annotated("shop", rewrite, &spec);
    let conversion = convert(&[("a.yaml", &text)]);
    let problem = only_problem(&conversion);
    assert!(problem.contains("warning[PC0341] Ingress/shop/shop metadata.annotations[nginx.ingress.kubernetes.io/rewrite-target]: `nginx.ingress.kubernetes.io/rewrite-target` is for another controller"), "{problem}");
    assert!(
        problem.contains(
            "write the filter URLRewrite of an HTTPRoute, or `rewrite` of a VirtualService instead"
        ),
        "{problem}"
    );
    let auth = "nginx.ingress.kubernetes.io/auth-url: https://login.test";
    let text = service("web") + &annotated("shop", auth, &spec);
    let conversion = convert(&[("a.yaml", &text)]);
    assert!(only_problem(&conversion).contains("error[PC0341]"));
    let action = &conversion.model.listeners[0].virtual_hosts[0].rules[0].action;
    assert!(matches!(action, Action::DirectResponse(reply) if reply.status == 503), "{action:?}");
}

#[test]
fn ingresses_and_gateways_share_a_socket_and_keep_apart() {
    let spec = rules(&[rule("a.test", &[path("Prefix", "/", "web")])]);
    let virtual_service = route("gw", "b.test", "[{directResponse: {status: 204}}]");
    let gateway =
        GATEWAY.replace("name: gw", "name: shop").replace("namespace: edge", "namespace: shop");
    let virtual_service = virtual_service.replace("edge/gw", "shop/shop");
    let text = service("web") + &ingress("shop", &spec);
    let conversion =
        convert(&[("a.yaml", &gateway), ("b.yaml", &virtual_service), ("c.yaml", &text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let hosts: Vec<_> = conversion
        .model
        .listeners
        .iter()
        .map(|listener| listener.virtual_hosts.iter().map(|host| host.host.to_string()).collect())
        .collect::<Vec<Vec<_>>>();
    assert_eq!(hosts, [["b.test"], ["a.test"]]);
}

#[test]
fn a_prefix_of_segments_has_no_slash_at_its_end() {
    for (written, kept) in [("/", ""), ("/a", "/a"), ("/a/", "/a")] {
        let spec = rules(&[rule("a.test", &[path("Prefix", written, "web")])]);
        let conversion = convert(&[("a.yaml", &(service("web") + &ingress("shop", &spec)))]);
        let found = &conversion.model.listeners[0].virtual_hosts[0].rules[0].matches[0].path;
        assert_eq!(*found, Some(PathMatch::Segments(kept.into())), "{written}");
    }
}

#[test]
fn a_broken_ingress_keeps_its_last_good_version() {
    let good = rules(&[rule("a.test", &[path("Prefix", "/", "web")])]);
    let before = convert(&[("a.yaml", &(service("web") + &ingress("shop", &good)))]);
    let bad = good.replace("Prefix", "prefix");
    let text = service("web") + &ingress("shop", &bad);
    let after = convert_after(&[("a.yaml", &text)], &before.memory);
    let problem = only_problem(&after);
    assert!(problem.contains("did you mean `Prefix`?"), "{problem}");
    assert!(problem.contains("its last good version serves on"), "{problem}");
    assert_eq!(rendered(&after.model), rendered(&before.model));
}

/// Each Ingress of this `spec` has a problem with this in it.
fn assert_said(table: &[(String, &str)]) {
    for (spec, wanted) in table {
        let conversion = convert(&[("a.yaml", &(service("web") + &ingress("i", spec)))]);
        let found = problems(&conversion);
        assert!(
            found.iter().any(|problem| problem.contains(wanted)),
            "{spec}\nwanted {wanted}\n{found:#?}"
        );
    }
}

const TO_WEB: &str = "backend: {service: {name: web, port: {number: 80}}}";

fn of_path(path: &str) -> String {
    format!("{{rules: [{{host: a.test, http: {{paths: [{path}]}}}}]}}")
}

#[test]
fn every_wrong_ingress_is_said_at_its_place() {
    let backend = TO_WEB;
    let of_host = |host: &str| {
        format!(
            "{{rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, {backend}}}]}}}}]}}"
        )
    };
    let root = "defaultBackend: {service: {name: web, port: {number: 80}}}";
    assert_said(&[
        ("{}".to_owned(), "PC0209] Ingress/shop/i spec.rules: an Ingress has no `rules`"),
        (
            "{rule: []}".to_owned(),
            "PC0206] Ingress/shop/i spec.rule: an Ingress has no field `rule`",
        ),
        (of_host("'*'"), "PC0210] Ingress/shop/i spec.rules[0].host: `*` is no host of an Ingress"),
        (of_host("10.0.0.1"), "PC0210] Ingress/shop/i spec.rules[0].host: an address is no host"),
        (of_host("'a.*.test'"), "PC0210] Ingress/shop/i spec.rules[0].host: a wildcard may only"),
        (
            of_host("'a.test:80'"),
            "PC0210] Ingress/shop/i spec.rules[0].host: `a.test:80` is not a DNS name",
        ),
        (
            "{rules: [{host: a.test, http: {paths: []}}]}".to_owned(),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths: a rule without paths",
        ),
        (
            "{rules: [{host: a.test, http: {}}]}".to_owned(),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths: a rule's http has no `paths`",
        ),
        (
            of_path(&format!("{{path: /, {backend}}}")),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].pathType: a path has no `pathType`",
        ),
        (
            of_path(&format!("{{pathType: Exact, {backend}}}")),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].path: a path has no `path`",
        ),
        (
            of_path(&format!("{{path: /, pathType: Regex, {backend}}}")),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths[0].pathType: `Regex` is not known here",
        ),
        (
            of_path(&format!("{{path: a, pathType: Prefix, {backend}}}")),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths[0].path: `a` is no path",
        ),
        (
            of_path(&format!("{{path: /a/../b, pathType: Prefix, {backend}}}")),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths[0].path: `/a/../b` is no path that a request can have",
        ),
        (
            of_path(&format!("{{path: '/a?b', pathType: Prefix, {backend}}}")),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths[0].path: `/a?b` is no path",
        ),
        (
            of_path("{path: /, pathType: Prefix}"),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].backend: a path has no `backend`",
        ),
        (
            format!("{{{root}, tls: [{{hosts: [10.0.0.1], secretName: a}}]}}"),
            "PC0210] Ingress/shop/i spec.tls[0].hosts[0]: an address is no host",
        ),
        (
            format!("{{{root}, tls: [{{hosts: a.test, secretName: a}}]}}"),
            "PC0208] Ingress/shop/i spec.tls[0].hosts: this has to be a list",
        ),
        (
            format!("{{{root}, ingressClassName: 1}}"),
            "PC0208] Ingress/shop/i spec.ingressClassName: this has to be a string",
        ),
    ]);
    let looks_like_pattern =
        of_path(&format!("{{path: '/a(/|$)(.*)', pathType: ImplementationSpecific, {backend}}}"));
    let conversion = convert(&[("a.yaml", &(service("web") + &ingress("i", &looks_like_pattern)))]);
    assert!(only_problem(&conversion).contains("warning[PC0210] Ingress/shop/i spec.rules[0].http.paths[0].path: `/a(/|$)(.*)` looks like a pattern"));
    let old = ingress("i", &of_host("a.test"))
        .replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1");
    assert!(
        only_problem(&convert(&[("a.yaml", &old)])).contains(
            "error[PC0202] Ingress/shop/i: Kubernetes has served no Ingress of `v1beta1`"
        )
    );
}

#[test]
fn every_wrong_backend_of_an_ingress_is_said_at_its_place() {
    let of_backend =
        |backend: &str| of_path(&format!("{{path: /, pathType: Prefix, backend: {backend}}}"));
    assert_said(&[
        (
            of_backend("{}"),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].backend.service: a backend has no `service`",
        ),
        (
            of_backend("{resource: {kind: Bucket, name: b}}"),
            "PC0211] Ingress/shop/i spec.rules[0].http.paths[0].backend.resource: a backend that is no Service",
        ),
        (
            of_backend("{service: {name: web}}"),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port: a backend's service has no `port`",
        ),
        (
            of_backend("{service: {port: {number: 80}}}"),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.name:",
        ),
        (
            of_backend("{service: {name: web, port: {}}}"),
            "PC0209] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port.number: a backend's port has no `number`",
        ),
        (
            of_backend("{service: {name: web, port: {number: 80, name: http}}}"),
            "PC0212] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port: only one of",
        ),
        (
            of_backend("{service: {name: web, port: {number: 0}}}"),
            "PC0210] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port.number: 0 is not from 1 to 65535",
        ),
        (
            of_backend("{service: {name: gone, port: {number: 80}}}"),
            "PC0304] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.name: there is no service `gone.shop.svc.cluster.local`",
        ),
        (
            of_backend("{service: {name: web, port: {number: 81}}}"),
            "PC0306] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port: `web.shop.svc.cluster.local` has no port 81",
        ),
        (
            of_backend("{service: {name: web, port: {name: grpc}}}"),
            "PC0306] Ingress/shop/i spec.rules[0].http.paths[0].backend.service.port: `web.shop.svc.cluster.local` has no port named `grpc`; its ports are: 80 (http), 8443 (admin)",
        ),
    ]);
}

#[test]
fn every_wrong_class_is_said_at_its_place() {
    let ours = "portcullis.dev/ingress-controller";
    for (text, wanted) in [
        (
            class("x", ours, "maybe"),
            "PC0210] IngressClass/default/x metadata.annotations[ingressclass.kubernetes.io/is-default-class]: `maybe` is not known here",
        ),
        (
            class("x", "''", "true").replace("controller: ''", ""),
            "PC0209] IngressClass/default/x spec.controller: an IngressClass has no `controller`",
        ),
        (
            class("x", &format!("{ours}, parameters: {{kind: X, name: y}}"), "true"),
            "PC0217] IngressClass/default/x spec.parameters: our classes have no parameters",
        ),
        (
            class("x", &format!("{ours}, scope: a"), "true"),
            "PC0206] IngressClass/default/x spec.scope: an IngressClass has no field `scope`",
        ),
    ] {
        let found = problems(&convert(&[("a.yaml", &text)]));
        assert!(found.iter().any(|problem| problem.contains(wanted)), "{text}\n{found:#?}");
    }
}
