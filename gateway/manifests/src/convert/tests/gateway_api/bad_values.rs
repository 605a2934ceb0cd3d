//! Every wrong value of every field has a code, at its place.

use super::*;

/// The codes and fields of what is wrong.
fn found(conversion: &Conversion) -> Vec<String> {
    let shown =
        conversion.problems.iter().map(|problem| format!("{} {}", problem.code, problem.field));
    shown.collect()
}

#[test]
fn of_gateways() {
    let cases = [
        ("name: a, port: 0, protocol: HTTP", "PC0210 spec.listeners[0].port"),
        ("name: a, port: 65536, protocol: HTTP", "PC0210 spec.listeners[0].port"),
        ("name: a, port: '80', protocol: HTTP", "PC0208 spec.listeners[0].port"),
        ("name: a, protocol: HTTP", "PC0209 spec.listeners[0].port"),
        ("name: '', port: 80, protocol: HTTP", "PC0210 spec.listeners[0].name"),
        ("port: 80, protocol: HTTP", "PC0209 spec.listeners[0].name"),
        ("name: a, port: 80", "PC0209 spec.listeners[0].protocol"),
        ("name: a, port: 80, protocol: http", "PC0210 spec.listeners[0].protocol"),
        ("name: a, port: 80, protocol: example.com/own", "PC0211 spec.listeners[0].protocol"),
        ("name: a, port: 80, protocol: HTTP, hostname: '*'", "PC0210 spec.listeners[0].hostname"),
        (
            "name: a, port: 80, protocol: HTTP, hostname: 'a.*.b'",
            "PC0210 spec.listeners[0].hostname",
        ),
        (
            "name: a, port: 80, protocol: HTTP, hostname: 'a:80'",
            "PC0210 spec.listeners[0].hostname",
        ),
        ("name: a, port: 80, protocol: TCP, hostname: a.b", "PC0210 spec.listeners[0].hostname"),
        ("name: a, port: 80, protocol: HTTP, nope: 1", "PC0206 spec.listeners[0].nope"),
        ("name: a, port: 80, protocol: HTTP, tls: {}", "PC0210 spec.listeners[0].tls"),
        ("name: a, port: 443, protocol: HTTPS", "PC0209 spec.listeners[0].tls"),
        (
            "name: a, port: 443, protocol: HTTPS, tls: {}",
            "PC0209 spec.listeners[0].tls.certificateRefs",
        ),
        (
            "name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: []}",
            "PC0209 spec.listeners[0].tls.certificateRefs",
        ),
        (
            "name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{}]}",
            "PC0209 spec.listeners[0].tls.certificateRefs[0].name",
        ),
        (
            "name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}",
            "PC0210 spec.listeners[0].tls",
        ),
        (
            "name: a, port: 443, protocol: TLS, tls: {mode: passthrough}",
            "PC0210 spec.listeners[0].tls.mode",
        ),
        (
            "name: a, port: 443, protocol: TLS, tls: {mode: Passthrough, certificateRefs: [{name: x}]}",
            "PC0217 spec.listeners[0].tls.certificateRefs",
        ),
        (
            "name: a, port: 443, protocol: TLS, tls: {mode: Passthrough, options: {portcullis.dev/min-protocol-version: TLSV1_3}}",
            "PC0217 spec.listeners[0].tls.options",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}",
            "PC0210 spec.listeners[0].allowedRoutes.namespaces.from",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}",
            "PC0209 spec.listeners[0].allowedRoutes.namespaces.selector",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All, selector: {}}}",
            "PC0217 spec.listeners[0].allowedRoutes.namespaces.selector",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {selector: {}}}",
            "PC0217 spec.listeners[0].allowedRoutes.namespaces.selector",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In}]}}}",
            "PC0210 spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0]",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Is}]}}}",
            "PC0210 spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].operator",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}",
            "PC0210 spec.listeners[0].allowedRoutes.kinds[0]",
        ),
        (
            "name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{}]}",
            "PC0209 spec.listeners[0].allowedRoutes.kinds[0].kind",
        ),
    ];
    for (listener, wanted) in cases {
        assert_eq!(found(&converted(&[gateway(&[listener])])), [wanted], "{listener}");
    }
    let twice = converted(&[gateway(&[
        "name: a, port: 80, protocol: HTTP",
        "name: a, port: 81, protocol: HTTP",
    ])]);
    assert_eq!(found(&twice), ["PC0210 spec.listeners[1]"]);
    let many: Vec<String> =
        (0..65).map(|n| format!("name: l{n}, port: {}, protocol: HTTP", n + 1)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(found(&converted(&[gateway(&many)])), ["PC0210 spec.listeners[64]"]);
}

#[test]
fn of_the_rest_of_a_gateway() {
    let cases = [
        ("  addresses: [{value: x}]\n", "PC0210 spec.addresses[0]"),
        ("  addresses: [{value: 1.2.3.4}, {value: 1.2.3.4}]\n", "PC0210 spec.addresses[1]"),
        ("  defaultScope: All\n", "PC0207 spec.defaultScope"),
        ("  nope: 1\n", "PC0206 spec.nope"),
        (
            "  allowedListeners: {namespaces: {from: Some}}\n",
            "PC0210 spec.allowedListeners.namespaces.from",
        ),
        ("  tls: {frontend: {}}\n", "PC0209 spec.tls.frontend.default"),
        (
            "  tls: {frontend: {default: {validation: {}}}}\n",
            "PC0209 spec.tls.frontend.default.validation.caCertificateRefs",
        ),
        (
            "  tls: {frontend: {default: {validation: {caCertificateRefs: []}}}}\n",
            "PC0210 spec.tls.frontend.default.validation.caCertificateRefs",
        ),
        (
            "  tls: {frontend: {default: {validation: {caCertificateRefs: [{name: a}]}}}}\n",
            "PC0209 spec.tls.frontend.default.validation.caCertificateRefs[0].kind",
        ),
        (
            "  tls: {frontend: {default: {validation: {mode: Some, caCertificateRefs: [{kind: ConfigMap, name: a}]}}}}\n",
            "PC0210 spec.tls.frontend.default.validation.mode",
        ),
        (
            "  tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}\n",
            "PC0210 spec.tls.frontend.perPort[1]",
        ),
        (
            "  tls: {backend: {clientCertificateRef: {}}}\n",
            "PC0209 spec.tls.backend.clientCertificateRef.name",
        ),
    ];
    for (more, wanted) in cases {
        assert_eq!(found(&converted(&[gateway_with(more, &[OPEN])])), [wanted], "{more}");
    }
    let option = |name: &str| {
        format!(
            "name: a, port: 443, protocol: TLS, hostname: a.b, tls: {{certificateRefs: [{{name: x}}], options: {{{name}}}}}"
        )
    };
    let found_with = |name: &str| found(&converted(&[gateway(&[&option(name)])]));
    let path = "spec.listeners[0].tls.options";
    assert!(
        found_with("portcullis.dev/nope: x")
            .contains(&format!("PC0206 {path}[portcullis.dev/nope]"))
    );
    assert!(
        found_with("portcullis.dev/min-protocol-version: TLSV1_1")
            .contains(&format!("PC0210 {path}[portcullis.dev/min-protocol-version]"))
    );
    assert!(found_with("example.com/x: y").contains(&format!("PC0217 {path}[example.com/x]")));
}

#[test]
fn of_classes_sets_and_grants() {
    let object = |kind: &str, spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: x, namespace: edge}}\nspec: {{{spec}}}\n"
        )
    };
    let listeners = "listeners: [{name: a, port: 1, protocol: HTTP}]";
    let cases = [
        ("GatewayClass", "controllerName: ''".to_owned(), "PC0210 spec.controllerName"),
        ("GatewayClass", "controllerName: portcullis".to_owned(), "PC0210 spec.controllerName"),
        ("GatewayClass", "description: x".to_owned(), "PC0209 spec.controllerName"),
        ("GatewayClass", "controllerName: portcullis.dev/gateway-controller, parametersRef: {group: a, kind: b, name: c}".to_owned(), "PC0210 spec.parametersRef"),
        ("ListenerSet", listeners.to_owned(), "PC0209 spec.parentRef"),
        ("ListenerSet", "parentRef: {kind: Service, name: gw}, ".to_owned() + listeners, "PC0210 spec.parentRef"),
        ("ListenerSet", "parentRef: {name: gw}, listeners: []".to_owned(), "PC0210 spec.listeners"),
        ("ReferenceGrant", "from: []".to_owned(), "PC0209 spec.to"),
        ("ReferenceGrant", "from: [{kind: HTTPRoute, namespace: a}], to: []".to_owned(), "PC0209 spec.from[0].group"),
        ("ReferenceGrant", "from: [{group: a, kind: HTTPRoute}], to: []".to_owned(), "PC0209 spec.from[0].namespace"),
        ("ReferenceGrant", "from: [], to: [{group: ''}]".to_owned(), "PC0209 spec.to[0].kind"),
        ("ReferenceGrant", "from: [], to: [{group: '', kind: Service, name: ''}]".to_owned(), "PC0210 spec.to[0].name"),
    ];
    for (kind, spec, wanted) in cases {
        assert_eq!(found(&converted(&[gateway(&[OPEN]), object(kind, &spec)])), [wanted], "{spec}");
    }
}

/// What is wrong with a route that has these parents, hostnames and this rule.
fn found_in(parents: &str, hostnames: &str, rule: &str) -> Vec<String> {
    let route = attached("r", parents, hostnames, &format!("[{{{rule}}}]"));
    found(&converted(&[gateway(&[OPEN]), route]))
}

const PARENT: &str = "[{name: gw, namespace: edge}]";
const BACKEND: &str = "backendRefs: [{name: v1, port: 8080}]";

#[test]
fn of_parents_and_hostnames() {
    let cases = [
        ("[]", "", "PC0217 spec"),
        ("[{namespace: edge}]", "", "PC0209 spec.parentRefs[0].name"),
        ("[{name: gw, namespace: ''}]", "", "PC0210 spec.parentRefs[0].namespace"),
        ("[{name: gw, namespace: edge, port: 0}]", "", "PC0210 spec.parentRefs[0].port"),
        (
            "[{name: gw, namespace: edge, sectionName: ''}]",
            "",
            "PC0210 spec.parentRefs[0].sectionName",
        ),
        (PARENT, "'*'", "PC0210 spec.hostnames[0]"),
        (PARENT, "10.0.0.1:80", "PC0210 spec.hostnames[0]"),
        (PARENT, "1", "PC0208 spec.hostnames[0]"),
    ];
    for (parents, hostnames, wanted) in cases {
        assert_eq!(found_in(parents, hostnames, BACKEND), [wanted], "{parents} {hostnames}");
    }
}

#[test]
fn of_matches() {
    let cases = [
        ("path: {type: Prefix, value: /}", "path.type"),
        ("path: {value: x}", "path.value"),
        ("path: {value: /a//b}", "path.value"),
        ("path: {value: /a/../b}", "path.value"),
        ("path: {value: /a/..}", "path.value"),
        ("path: {value: '/a%2fb'}", "path.value"),
        ("path: {type: Exact, value: '/a#b'}", "path.value"),
        ("path: {type: RegularExpression, value: '/a['}", "path.value"),
        ("method: get", "method"),
        ("headers: [{name: 'a b', value: x}]", "headers[0]"),
        ("headers: [{name: a, value: x}, {name: A, value: z}]", "headers[1]"),
        ("headers: [{type: Is, name: a, value: x}]", "headers[0].type"),
        ("queryParams: [{name: '', value: x}]", "queryParams[0].name"),
        ("queryParams: [{name: a, value: x}, {name: a, value: z}]", "queryParams[1]"),
        ("queryParams: [{type: RegularExpression, name: a, value: '('}]", "queryParams[0].value"),
    ];
    for (condition, field) in cases {
        let rule = format!("matches: [{{{condition}}}], {BACKEND}");
        let found = found_in(PARENT, "", &rule);
        assert_eq!(found.len(), 1, "{condition}: {found:?}");
        assert!(found[0].ends_with(&format!(" spec.rules[0].matches[0].{field}")), "{found:?}");
        assert!(found[0].starts_with("PC02"), "{found:?}");
    }
    let missing =
        found_in(PARENT, "", &format!("matches: [{{headers: [{{name: a}}]}}], {BACKEND}"));
    assert_eq!(missing, ["PC0209 spec.rules[0].matches[0].headers[0].value"]);
}

#[test]
fn of_filters() {
    let cases = [
        ("type: Nope", "PC0210 spec.rules[0].filters[0].type"),
        ("type: URLRewrite", "PC0209 spec.rules[0].filters[0].urlRewrite"),
        ("type: CORS, urlRewrite: {}", "PC0210 spec.rules[0].filters[0]"),
        (
            "type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a}]}",
            "PC0209 spec.rules[0].filters[0].requestHeaderModifier.set[0].value",
        ),
        (
            "type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, {name: A, value: c}]}",
            "PC0210 spec.rules[0].filters[0].requestHeaderModifier.set[1]",
        ),
        (
            "type: RequestHeaderModifier, requestHeaderModifier: {remove: [Transfer-Encoding]}",
            "PC0210 spec.rules[0].filters[0].requestHeaderModifier.remove[0]",
        ),
        (
            "type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: 'a b', value: c}]}",
            "PC0210 spec.rules[0].filters[0].responseHeaderModifier.add[0].name",
        ),
        (
            "type: RequestMirror, requestMirror: {}",
            "PC0209 spec.rules[0].filters[0].requestMirror.backendRef",
        ),
        (
            "type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 8080}, percent: 101}",
            "PC0210 spec.rules[0].filters[0].requestMirror.percent",
        ),
        (
            "type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 8080}, percent: 1, fraction: {numerator: 1}}",
            "PC0212 spec.rules[0].filters[0].requestMirror",
        ),
        (
            "type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 8080}, fraction: {numerator: 2, denominator: 1}}",
            "PC0210 spec.rules[0].filters[0].requestMirror.fraction",
        ),
        (
            "type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 8080}, fraction: {numerator: 2, denominator: 0}}",
            "PC0210 spec.rules[0].filters[0].requestMirror.fraction.denominator",
        ),
        (
            "type: RequestMirror, requestMirror: {backendRef: {name: none, port: 8080}}",
            "PC0304 spec.rules[0].filters[0].requestMirror.backendRef.name",
        ),
        (
            "type: URLRewrite, urlRewrite: {hostname: '*.a'}",
            "PC0210 spec.rules[0].filters[0].urlRewrite.hostname",
        ),
        (
            "type: URLRewrite, urlRewrite: {path: {type: Replace}}",
            "PC0210 spec.rules[0].filters[0].urlRewrite.path.type",
        ),
        (
            "type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}",
            "PC0210 spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch",
        ),
        (
            "type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}",
            "PC0209 spec.rules[0].filters[0].urlRewrite.path.replaceFullPath",
        ),
        (
            "type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: x}}",
            "PC0210 spec.rules[0].filters[0].urlRewrite.path.replaceFullPath",
        ),
        (
            "type: CORS, cors: {allowOrigins: [example.com]}",
            "PC0210 spec.rules[0].filters[0].cors.allowOrigins[0]",
        ),
        (
            "type: CORS, cors: {allowOrigins: ['https://a.*.b']}",
            "PC0210 spec.rules[0].filters[0].cors.allowOrigins[0]",
        ),
        (
            "type: CORS, cors: {allowMethods: ['*', GET]}",
            "PC0210 spec.rules[0].filters[0].cors.allowMethods",
        ),
        (
            "type: CORS, cors: {allowHeaders: ['a b']}",
            "PC0210 spec.rules[0].filters[0].cors.allowHeaders[0]",
        ),
        ("type: CORS, cors: {maxAge: 0}", "PC0210 spec.rules[0].filters[0].cors.maxAge"),
        (
            "type: CORS, cors: {allowCredentials: 'true'}",
            "PC0208 spec.rules[0].filters[0].cors.allowCredentials",
        ),
        ("type: ExtensionRef, extensionRef: {}", "PC0211 spec.rules[0].filters[0]"),
        ("type: ExternalAuth, externalAuth: {}", "PC0211 spec.rules[0].filters[0]"),
    ];
    for (filter, wanted) in cases {
        let rule = format!("filters: [{{{filter}}}], {BACKEND}");
        assert_eq!(found_in(PARENT, "", &rule), [wanted], "{filter}");
    }
}

#[test]
fn of_redirects() {
    let redirects = [
        ("scheme: ftp", "scheme"),
        ("hostname: 'a:80'", "hostname"),
        ("port: 0", "port"),
        ("statusCode: 300", "statusCode"),
        ("path: {type: ReplaceFullPath, replaceFullPath: '/a?b'}", "path.replaceFullPath"),
    ];
    for (redirect, field) in redirects {
        let rule = format!("filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]");
        let wanted = format!("PC0210 spec.rules[0].filters[0].requestRedirect.{field}");
        assert!(
            found_in(PARENT, "", &rule).contains(&wanted),
            "{redirect}: {:?}",
            found_in(PARENT, "", &rule)
        );
    }
}

#[test]
fn of_rules_as_a_whole() {
    let redirect = "{type: RequestRedirect, requestRedirect: {port: 8080}}";
    let rewrite = "{type: URLRewrite, urlRewrite: {hostname: a.b}}";
    let prefix =
        "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}";
    let cases = [
        (format!("filters: [{redirect}], {BACKEND}"), "PC0210 spec.rules[0]"),
        (format!("filters: [{redirect}, {rewrite}]"), "PC0210 spec.rules[0]"),
        (format!("filters: [{rewrite}, {rewrite}], {BACKEND}"), "PC0210 spec.rules[0].filters[1]"),
        (
            format!(
                "matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{prefix}], {BACKEND}"
            ),
            "PC0210 spec.rules[0]",
        ),
        (format!("name: '', {BACKEND}"), "PC0210 spec.rules[0].name"),
        (
            format!("sessionPersistence: {{type: Cookie}}, {BACKEND}"),
            "PC0207 spec.rules[0].sessionPersistence",
        ),
        (
            format!("timeouts: {{request: 1.5s}}, {BACKEND}"),
            "PC0210 spec.rules[0].timeouts.request",
        ),
        (
            format!("timeouts: {{request: 1s, backendRequest: 2s}}, {BACKEND}"),
            "PC0210 spec.rules[0].timeouts.backendRequest",
        ),
        (
            format!("timeouts: {{backendRequest: '10'}}, {BACKEND}"),
            "PC0210 spec.rules[0].timeouts.backendRequest",
        ),
        (
            format!("timeouts: {{request: 1s1s1s1s1s}}, {BACKEND}"),
            "PC0210 spec.rules[0].timeouts.request",
        ),
        (format!("retry: {{codes: [200]}}, {BACKEND}"), "PC0210 spec.rules[0].retry.codes[0]"),
        (format!("retry: {{attempts: -1}}, {BACKEND}"), "PC0210 spec.rules[0].retry.attempts"),
        (format!("retry: {{backoff: soon}}, {BACKEND}"), "PC0210 spec.rules[0].retry.backoff"),
        ("backendRefs: [{port: 80}]".to_owned(), "PC0209 spec.rules[0].backendRefs[0].name"),
        (
            "backendRefs: [{name: v1, port: 8080, weight: -1}]".to_owned(),
            "PC0210 spec.rules[0].backendRefs[0].weight",
        ),
        (
            "backendRefs: [{name: v1, port: 8080, weight: 1000001}]".to_owned(),
            "PC0210 spec.rules[0].backendRefs[0].weight",
        ),
        (
            "backendRefs: [{name: v1, port: 8080, filters: [{type: CORS, cors: {}}]}]".to_owned(),
            "PC0211 spec.rules[0].backendRefs[0].filters[0]",
        ),
    ];
    for (rule, wanted) in cases {
        let found = found_in(PARENT, "", &rule);
        assert!(found.iter().any(|each| each == wanted), "{rule}: {found:?}");
    }
    let twice =
        format!("[{{name: a, {BACKEND}}}, {{name: a, matches: [{{method: GET}}], {BACKEND}}}]");
    let twice = converted(&[gateway(&[OPEN]), http_route("r", "", &twice)]);
    assert_eq!(found(&twice), ["PC0210 spec"]);
}
