//! Listeners from outside: isolation, ports, TLS, client certificates, changes while it runs.

use portcullis_testkit::manifests::tls_secret;
use portcullis_testkit::{Certificates, Tls};

use super::*;

fn on(section: &str) -> String {
    format!("{{name: gw, sectionName: {section}}}")
}

#[tokio::test]
async fn a_request_is_of_the_most_specific_listener_alone() {
    let listener = |name: &str, host: &str| match host {
        "" => format!("name: {name}, port: 80, protocol: HTTP"),
        host => format!("name: {name}, port: 80, protocol: HTTP, hostname: '{host}'"),
    };
    let listeners = [
        listener("http", ""),
        listener("wild", "*.example.test"),
        listener("deep", "*.foo.example.test"),
        listener("exact", "abc.foo.example.test"),
    ];
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let rule = |path: &str| format!("matches: [{{path: {{value: {path}}}}}], {TO_V1}");
    let routes: Vec<String> = ["http", "wild", "deep", "exact"]
        .iter()
        .map(|name| route_on(name, &on(name), "", &[&rule(&format!("/{name}"))]))
        .collect();
    let mut documents = vec![api_gateway(&listeners)];
    documents.extend(routes);
    let mut estate = Estate::open(&documents).await;
    for (host, listener) in [
        ("bar.test", "http"),
        ("example.test", "http"),
        ("bar.example.test", "wild"),
        ("bar.foo.example.test", "deep"),
        ("abc.foo.example.test", "exact"),
    ] {
        for path in ["http", "wild", "deep", "exact"] {
            let status = if path == listener { 200 } else { 404 };
            let reply = estate.client.get(host, &format!("/{path}")).await;
            assert_eq!(reply.status, status, "{host}/{path}");
        }
    }
}

#[tokio::test]
async fn a_route_is_on_the_port_that_its_parent_names() {
    let mut estate = Estate::open(&[
        api_gateway(&[HTTP, "name: other, port: 8080, protocol: HTTP"]),
        route_on("a", "{name: gw, port: 80}", "", &[TO_V1]),
        route_on("b", "{name: gw, sectionName: other}", "", &[TO_V2]),
    ])
    .await;
    let mut other = Client::http1(estate.gateway.address("other")).await.unwrap();
    assert_eq!(estate.client.get("a.test", "/").await.upstream(), "v1");
    assert_eq!(other.get("a.test", "/").await.upstream(), "v2");
    // The port in the host has nothing to do with it.
    assert_eq!(other.get("a.test:80", "/").await.upstream(), "v2");
}

#[tokio::test]
async fn listeners_come_and_go_while_others_serve() {
    let upstream = Upstream::start("v1");
    let with = |listeners: &[&str]| {
        join(&[api_gateway(listeners), http_route("r", "", &[TO_V1]), service(&upstream)])
    };
    let second = "name: second, port: 8080, protocol: HTTP";
    let mut gateway = Gateway::start(&with(&[HTTP, second])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.upstream(), "v1");
    let mut other = Client::http1(gateway.address("second")).await.unwrap();
    assert_eq!(other.get("a.test", "/").await.upstream(), "v1");
    gateway.apply(&with(&[second])).await;
    assert!(Client::http1(gateway.address("http")).await.is_err(), "nothing listens there now");
    assert_eq!(other.get("a.test", "/").await.upstream(), "v1");
    let narrowed = "name: second, port: 8080, protocol: HTTP, hostname: only.test";
    gateway.apply(&with(&[narrowed])).await;
    assert_eq!(other.get("a.test", "/").await.status, 404);
    assert_eq!(other.get("only.test", "/").await.upstream(), "v1");
}

fn https(name: &str, host: &str, secret: &str) -> String {
    format!(
        "name: {name}, port: 443, protocol: HTTPS, hostname: {host}, tls: {{certificateRefs: [{{name: {secret}}}]}}"
    )
}

#[tokio::test]
async fn each_https_listener_has_the_certificates_that_it_names() {
    let (a, b) = (Certificates::for_hosts(&["a.test"]), Certificates::for_hosts(&["b.test"]));
    let (of_a, of_b) = (https("a", "a.test", "a"), https("b", "b.test", "b"));
    let estate = Estate::open(&[
        api_gateway(&[HTTP, &of_a, &of_b, &https("c", "c.test", "missing")]),
        route_on("a", &on("a"), "", &[TO_V1]),
        route_on("b", &on("b"), "", &[TO_V2]),
        tls_secret("a", &a),
        tls_secret("b", &b),
    ])
    .await;
    let address = estate.gateway.address("a");
    for (host, certificates, who) in [("a.test", &a, "v1"), ("b.test", &b, "v2")] {
        let mut client = Client::tls(address, &Tls::new(host, certificates)).await.unwrap();
        assert_eq!(client.get(host, "/").await.upstream(), who);
    }
    assert!(Client::tls(address, &Tls::new("c.test", &a)).await.is_err(), "it has no certificate");
    let mut client = Client::tls(address, &Tls::new("a.test", &a)).await.unwrap();
    assert_eq!(client.get("b.test", "/").await.status, 421, "it is another listener's");
    assert_eq!(client.get("nobody.test", "/").await.status, 404, "it is nobody's");
}

#[tokio::test]
async fn a_request_for_another_listeners_host_is_misdirected() {
    let all =
        Certificates::for_hosts(&["second.test", "x.wild.test", "fourth.wild.test", "other.test"]);
    let with_host = |name: &str, host: &str| match host {
        "" => format!(
            "name: {name}, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: all}}]}}"
        ),
        host => https(name, host, "all"),
    };
    let listeners = [
        with_host("any", ""),
        with_host("second", "second.test"),
        with_host("wild", "'*.wild.test'"),
        with_host("fourth", "fourth.wild.test"),
    ];
    let mut all_listeners = vec![HTTP];
    all_listeners.extend(listeners.iter().map(String::as_str));
    let estate = Estate::open(&[
        api_gateway(&all_listeners),
        route_on("r1", &on("any"), "other.test", &[TO_V1]),
        route_on("r2", &on("second"), "", &[TO_V2]),
        route_on("r3", &on("wild"), "", &[TO_V3]),
        route_on("r4", &on("fourth"), "", &[TO_V1]),
        tls_secret("all", &all),
    ])
    .await;
    let address = estate.gateway.address("any");
    for (name, cases) in [
        (
            "other.test",
            [
                ("other.test", 200),
                ("second.test", 421),
                ("x.wild.test", 421),
                ("unknown.test", 404),
            ],
        ),
        (
            "second.test",
            [
                ("second.test", 200),
                ("other.test", 421),
                ("fourth.wild.test", 421),
                ("x.wild.test", 421),
            ],
        ),
        (
            "x.wild.test",
            [
                ("x.wild.test", 200),
                ("y.wild.test", 200),
                ("fourth.wild.test", 421),
                ("second.test", 421),
            ],
        ),
        (
            "fourth.wild.test",
            [
                ("fourth.wild.test", 200),
                ("x.wild.test", 421),
                ("second.test", 421),
                ("other.test", 421),
            ],
        ),
    ] {
        for tls in [Tls::new(name, &all), Tls::new(name, &all).http2()] {
            let mut client = Client::tls(address, &tls).await.unwrap();
            for (host, status) in cases {
                assert_eq!(client.get(host, "/").await.status, status, "{host} on {name}");
            }
        }
    }
}

/// A ConfigMap with this authority.
fn config_map(name: &str, certificates: &Certificates) -> String {
    let pem: String = certificates.ca_pem.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{pem}"
    )
}

#[tokio::test]
async fn clients_are_verified_where_the_gateway_says_so() {
    let server = Certificates::for_hosts(&["a.test"]);
    let known = Certificates::for_hosts(&["client.test"]);
    let stranger = Certificates::for_hosts(&["client.test"]);
    let listener = https("a", "a.test", "a");
    let gateway = api_gateway(&[HTTP, &listener]).replace(
        "spec:\n",
        "spec:\n  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n",
    );
    let estate = Estate::open(&[
        gateway,
        http_route("r", "", &[TO_V1]),
        tls_secret("a", &server),
        config_map("ca", &known),
    ])
    .await;
    let address = estate.gateway.address("a");
    let tls = || Tls::new("a.test", &server);
    let mut client = Client::tls(address, &tls().presenting(&known)).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.upstream(), "v1");
    for refused in [tls(), tls().presenting(&stranger)] {
        let served = match Client::tls(address, &refused).await {
            Ok(mut client) => {
                client.try_call(portcullis_testkit::Call::get("a.test", "/")).await.is_ok()
            }
            Err(_) => false,
        };
        assert!(!served, "TLS 1.3 may tell a client after its handshake");
    }
}

#[tokio::test]
async fn an_insecure_fallback_takes_every_client_and_believes_the_good_ones_alone() {
    let server = Certificates::for_hosts(&["a.test"]);
    let known = Certificates::for_hosts(&["client.test"]);
    let stranger = Certificates::for_hosts(&["client.test"]);
    let listener = https("a", "a.test", "a");
    let gateway = api_gateway(&[HTTP, &listener]).replace(
        "spec:\n",
        "spec:\n  tls: {frontend: {default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n",
    );
    let estate = Estate::open(&[
        gateway,
        http_route("r", "", &[TO_V1]),
        tls_secret("a", &server),
        config_map("ca", &known),
    ])
    .await;
    let address = estate.gateway.address("a");
    let tls = || Tls::new("a.test", &server);
    for (client, is_believed) in [
        (tls().presenting(&known), true),
        (tls().presenting(&stranger), false),
        (tls().presenting(&stranger).tls12(), false),
        (tls(), false),
    ] {
        let mut client = Client::tls(address, &client).await.unwrap();
        let seen = client.get("a.test", "/").await.json();
        let shown = seen["headers"].get("x-forwarded-client-cert").is_some();
        assert_eq!(shown, is_believed, "{seen}");
    }
}

#[tokio::test]
async fn what_is_shared_with_the_other_languages_is_one_socket() {
    let estate = Estate::open(&[
        api_gateway(&["name: http, port: 80, protocol: HTTP, hostname: api.test"]),
        http_route("r", "", &[TO_V1]),
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  servers: [{port: {number: 80, name: istio, protocol: HTTP}, hosts: ['*.mesh.test']}]\n".to_owned(),
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs}\nspec:\n  hosts: [a.mesh.test]\n  gateways: [gw]\n  http: [{route: [{destination: {host: v2}}]}]\n".to_owned(),
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: ing}\nspec: {rules: [{host: ing.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: v3, port: {number: 80}}}}]}}]}\n".to_owned(),
    ])
    .await;
    let mut client = estate.client;
    for (host, who) in [("api.test", "v1"), ("a.mesh.test", "v2"), ("ing.test", "v3")] {
        assert_eq!(client.get(host, "/").await.upstream(), who);
    }
    assert_eq!(estate.gateway.address("http"), estate.gateway.address("istio"));
}

#[tokio::test]
async fn the_status_is_shown_by_validate() {
    let directory = crate::gateway::directory_with(&join(&[
        api_gateway(&[HTTP]),
        http_route("r", "", &["backendRefs: [{name: none, port: 80}]"]),
    ]));
    let output = std::process::Command::new(crate::gateway::binary())
        .args(["validate", "--output", "json"])
        .arg(directory.path())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = report["status"].as_array().unwrap();
    let of = |object: &str| status.iter().find(|each| each["object"] == object).unwrap();
    assert_eq!(of("Gateway/default/gw")["listeners"][0]["attachedRoutes"], 1);
    let conditions = &of("HTTPRoute/default/r")["parents"][0]["conditions"];
    assert_eq!(conditions[1]["type"], "ResolvedRefs");
    assert_eq!(conditions[1]["reason"], "BackendNotFound");
    assert_eq!(report["problems"][0]["code"], "PC0304");
}
