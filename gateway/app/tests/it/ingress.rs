//! Ingresses from outside: paths by segments, hosts, the default backend, TLS, and Gateways beside them.

use portcullis_testkit::manifests::{
    http_gateway, join, kubernetes_service, tls_secret, virtual_service,
};
use portcullis_testkit::{Authority, Client, Tls, Upstream};

use crate::gateway::Gateway;

/// An Ingress with this `spec`, YAML on one line.
fn ingress(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn backend(service: &str) -> String {
    format!("{{service: {{name: {service}, port: {{name: http}}}}}}")
}

fn path(kind: &str, path: &str, service: &str) -> String {
    format!("{{path: {path}, pathType: {kind}, backend: {}}}", backend(service))
}

struct Scene {
    gateway: Gateway,
    client: Client,
    _upstreams: [Upstream; 2],
}

impl Scene {
    async fn open(documents: &[String]) -> Scene {
        let upstreams = [Upstream::start("blue"), Upstream::start("green")];
        let mut all = vec![
            kubernetes_service("blue", 80, upstreams[0].address()),
            kubernetes_service("green", 80, upstreams[1].address()),
        ];
        all.extend_from_slice(documents);
        let gateway = Gateway::start(&join(&all)).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        Scene { gateway, client, _upstreams: upstreams }
    }

    /// Who answers, and by which rule; the status where nobody does.
    async fn who(&mut self, host: &str, path: &str) -> (String, String) {
        let reply = self.client.get(host, path).await;
        let route = match reply.headers.contains_key("x-portcullis-route") {
            true => reply.header("x-portcullis-route").to_owned(),
            false => String::new(),
        };
        match reply.status.as_u16() {
            200 => (reply.upstream().to_owned(), route),
            status => (status.to_string(), route),
        }
    }
}

fn told(who: &str, route: &str) -> (String, String) {
    (who.to_owned(), route.to_owned())
}

#[tokio::test]
async fn paths_are_segments_and_the_longest_wins() {
    let paths = [
        path("Prefix", "/", "blue"),
        path("Prefix", "/api", "green"),
        path("Prefix", "/api/v2/", "blue"),
        path("Exact", "/api/exact", "blue"),
        path("Prefix", "/gone", "gone"),
    ];
    let spec = format!("{{rules: [{{host: a.test, http: {{paths: [{}]}}}}]}}", paths.join(", "));
    let mut scene = Scene::open(&[ingress("shop", &spec)]).await;
    let route = |path: &str| format!("Ingress/default/shop/a.test{path}");
    for (path, who, by) in [
        ("/", "blue", "/"),
        ("/apis", "blue", "/"),
        ("/api", "green", "/api"),
        ("/api/", "green", "/api"),
        ("/api/x", "green", "/api"),
        ("/api/v2", "blue", "/api/v2/"),
        ("/api/v2/x", "blue", "/api/v2/"),
        ("/api/v22", "green", "/api"),
        ("/api/exact", "blue", "/api/exact"),
        ("/api/exact/", "green", "/api"),
        ("/gone", "503", "/gone"),
    ] {
        assert_eq!(scene.who("a.test", path).await, told(who, &route(by)), "{path}");
    }
    assert_eq!(scene.who("A.TEST:80", "/api").await.0, "green", "a host in any spelling");
    assert_eq!(scene.who("b.test", "/").await, told("404", ""));
}

#[tokio::test]
async fn hosts_wildcards_and_the_default_backend() {
    let spec = format!(
        "{{defaultBackend: {}, rules: [{{host: '*.a.test', http: {{paths: [{}]}}}}]}}",
        backend("blue"),
        path("Prefix", "/x", "green")
    );
    let mut scene = Scene::open(&[ingress("shop", &spec)]).await;
    let rule = "Ingress/default/shop/*.a.test/x";
    let default = "Ingress/default/shop/defaultBackend";
    assert_eq!(scene.who("one.a.test", "/x").await, told("green", rule));
    assert_eq!(scene.who("one.a.test", "/y").await, told("blue", default));
    assert_eq!(scene.who("two.one.a.test", "/x").await, told("blue", default), "a single label");
    assert_eq!(scene.who("a.test", "/x").await, told("blue", default));
    assert_eq!(scene.who("elsewhere.test", "/").await, told("blue", default));
}

#[tokio::test]
async fn tls_is_served_by_name_and_a_missing_secret_degrades_its_own_host() {
    let authority = Authority::new();
    let (a, b) = (authority.issue(&["a.test"]), authority.issue(&["b.test"]));
    let rule = |host: &str, service: &str| {
        format!("{{host: {host}, http: {{paths: [{}]}}}}", path("Prefix", "/", service))
    };
    let spec = format!(
        "{{tls: [{{hosts: [a.test], secretName: a}}, {{hosts: [b.test], secretName: b}}, {{hosts: [c.test], secretName: c}}], rules: [{}, {}, {}]}}",
        rule("a.test", "blue"),
        rule("b.test", "green"),
        rule("c.test", "green")
    );
    let documents = [ingress("shop", &spec), tls_secret("a", &a), tls_secret("b", &b)];
    let mut scene = Scene::open(&documents).await;
    let address = scene.gateway.address("https-a");
    for (host, certificate, who) in [("a.test", &a, "blue"), ("b.test", &b, "green")] {
        let mut client = Client::tls(address, &Tls::new(host, certificate)).await.unwrap();
        assert_eq!(client.certificate().unwrap(), certificate.leaf_der);
        assert_eq!(client.get(host, "/").await.upstream(), who);
    }
    assert!(Client::tls(address, &Tls::new("c.test", &a)).await.is_err());
    assert_eq!(scene.who("c.test", "/").await.0, "green", "port 80 is not concerned");
}

#[tokio::test]
async fn ingresses_share_hosts_and_the_port_with_gateways() {
    let of = |paths: &str| format!("{{rules: [{{host: a.test, http: {{paths: [{paths}]}}}}]}}");
    let wide = "- directResponse: {status: 204}\n";
    let mut scene = Scene::open(&[
        http_gateway("istio", 80, &["*"]),
        virtual_service("rest", "istio", &["*"], wide),
        ingress("one", &of(&path("Prefix", "/", "blue"))),
        ingress("two", &of(&path("Prefix", "/deep", "green"))),
        ingress("late", &of(&path("Prefix", "/deep", "blue"))),
    ])
    .await;
    assert_eq!(scene.who("a.test", "/").await, told("blue", "Ingress/default/one/a.test/"));
    let deep = "Ingress/default/two/a.test/deep";
    assert_eq!(scene.who("a.test", "/deep/x").await, told("green", deep));
    assert_eq!(scene.who("b.test", "/deep").await.0, "204", "the Gateway has the other hosts");
}

#[tokio::test]
async fn what_would_be_protected_elsewhere_is_refused() {
    let spec = format!(
        "{{rules: [{{host: a.test, http: {{paths: [{}]}}}}]}}",
        path("Prefix", "/", "blue")
    );
    let annotated = ingress("shop", &spec).replace(
        "{name: shop}",
        "{name: shop, annotations: {nginx.ingress.kubernetes.io/auth-url: 'https://login.test'}}",
    );
    let mut scene = Scene::open(&[annotated]).await;
    assert_eq!(scene.who("a.test", "/").await.0, "503");
}
