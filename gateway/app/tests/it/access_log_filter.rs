//! `Telemetry`: which requests the access log takes.

use portcullis_testkit::Client;
use portcullis_testkit::manifests::{gateway, http_server, join, virtual_service};

use crate::gateway::Gateway;

const FORMAT: [&str; 2] = ["--access-log", "%REQ(:PATH)% %RESPONSE_CODE%"];

const RULES: &str = "- match:\n  - uri: {prefix: /good}\n  directResponse: {status: 200}\n";

fn telemetry(spec: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: logs}}\nspec: {spec}\n"
    )
}

fn manifests(telemetry_spec: &str) -> String {
    let servers = [http_server("http", 80, &["a.example"]), http_server("other", 8080, &["*"])];
    join(&[
        gateway("shop", &servers),
        virtual_service("shop", "shop", &["*"], RULES),
        telemetry(telemetry_spec),
    ])
}

#[tokio::test]
async fn only_what_the_expression_holds_of_is_logged() {
    let spec = "{accessLogging: [{filter: {expression: \"response.code >= 400 || 'x-debug' in request.headers\"}}]}";
    let mut gateway = Gateway::start_with(&manifests(spec), &FORMAT).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("a.example", "/good").await.status, 200);
    assert_eq!(client.get("a.example", "/lost").await.status, 404);
    assert_eq!(gateway.access_line().await, "/lost 404");
    let call = portcullis_testkit::Call::get("a.example", "/good/2").header("x-debug", "1");
    client.call(call).await;
    assert_eq!(gateway.access_line().await, "/good/2 200");
    // What no listener takes is logged as ever: nobody said otherwise.
    client.get("b.example", "/strange").await;
    assert_eq!(gateway.access_line().await, "/strange 404");
}

#[tokio::test]
async fn a_listener_can_be_left_out_of_the_log() {
    let spec = "{targetRefs: [{kind: Gateway, group: networking.istio.io, name: shop, sectionName: other}], accessLogging: [{disabled: true}]}";
    let mut gateway =
        Gateway::start_with(&manifests(spec), &["--port-map", "80=0,8080=0", FORMAT[0], FORMAT[1]])
            .await;
    let mut other = Client::http1(gateway.address("other")).await.unwrap();
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(other.get("a.example", "/good/hidden").await.status, 200);
    client.get("a.example", "/good").await;
    assert_eq!(gateway.access_line().await, "/good 200");
    // A further generation logs it again.
    gateway.apply(&manifests("{accessLogging: [{}]}")).await;
    other.get("a.example", "/good/seen").await;
    assert_eq!(gateway.access_line().await, "/good/seen 200");
}
