//! A filter on the SDK, compiled to Wasm, asks the real gateway for all that the mock host gives it in unit tests.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testkit::manifests::{join, request_authentication, wasm_plugin};
use portcullis_testkit::{Call, Signer, TOKEN_ISSUER};
use serde_json::Value;

use crate::guests::guest;
use crate::shop::{HOST, Shop, TO_BLUE};

async fn seen(shop: &mut Shop, call: Call) -> Value {
    let reply = shop.client.call(call).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["headers"].clone()
}

#[tokio::test]
async fn a_filter_reads_what_the_host_has() {
    let signer = Signer::ecdsa_p256("one");
    let rules = format!("- issuer: {TOKEN_ISSUER}\n  jwks: '{}'\n", signer.key_set());
    let mut shop = Shop::open_with(TO_BLUE, &["--workers", "1"]).await;
    let plugin = wasm_plugin("asking", &guest("sdk-host"), "");
    let policy = request_authentication("tokens", &rules);
    let manifests = join(&[shop.manifests(TO_BLUE), policy, plugin]);
    shop.gateway.apply(&manifests).await;
    let first = seen(&mut shop, Call::get(HOST, "/a?b=c")).await;
    assert_eq!((&first["x-count"], &first["x-queued"]), (&"1".into(), &"/a?b=c".into()));
    assert_eq!((&first["x-left"], &first["x-url-path"]), (&Value::Null, &"/a".into()));
    assert_eq!((&first["x-mtls"], &first["x-verified"]), (&"false".into(), &"true false".into()));
    assert_eq!(first["x-plugin"], "default.asking", "{first}");
    let listed: usize = first["x-listed"].as_str().unwrap().parse().unwrap();
    assert!(listed >= 4, "{first}");
    for claim in ["x-sub", "x-exp", "x-admin", "x-tier"] {
        assert_eq!(first[claim], Value::Null, "{claim}");
    }
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let claims = format!(
        r#"{{"iss":"{TOKEN_ISSUER}","sub":"ann","exp":{end},"admin":true,"groups":["dev","ops"],"org":{{"tier":"gold"}}}}"#
    );
    let token = format!("Bearer {}", signer.token(&claims));
    let second = seen(&mut shop, Call::get(HOST, "/").header("authorization", &token)).await;
    assert_eq!((&second["x-count"], &second["x-sub"]), (&"2".into(), &"ann".into()));
    assert_eq!((&second["x-exp"], &second["x-admin"]), (&end.to_string().into(), &"true".into()));
    assert_eq!((&second["x-groups"], &second["x-tier"]), (&"dev ops".into(), &"gold".into()));
    assert_ne!(first["x-random"], second["x-random"]);
}
