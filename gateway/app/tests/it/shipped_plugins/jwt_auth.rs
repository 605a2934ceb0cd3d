//! jwt-auth: whom it lets pass, and what the upstream learns of them.

use portcullis_testkit::{Client, Reply};
use serde_json::{Value, json};

use super::signing::{AUDIENCE, ISSUER, Key, base64, claims};
use super::{Scene, call, refused_at};

/// One rule with these keys; what is in `over` is put over it.
pub fn settings(keys: &[&Key], over: Value) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    let mut rule = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": {"keys": keys}});
    for (name, value) in over.as_object().unwrap() {
        rule[name] = value.clone();
    }
    json!({"jwtRules": [rule]})
}

/// A GET with a token.
pub async fn send(client: &mut Client, token: &str) -> Reply {
    client.call(call("/", &[("authorization", &format!("Bearer {token}"))])).await
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_passes() {
    let keys = [Key::secret(), Key::rsa(), Key::curve()];
    let settings = settings(&[&keys[0], &keys[1], &keys[2]], json!({}));
    let mut scene = Scene::start("jwt-auth", &settings, &[]).await;
    for key in &keys {
        let token = key.sign(&claims(json!({})));
        for _ in 0..2 {
            let reply = send(&mut scene.client, &token).await;
            assert_eq!(reply.status, 200, "{}: {}", key.algorithm(), reply.text());
            let sent = reply.json();
            assert_eq!(sent["headers"]["authorization"], Value::Null, "the token stays here");
        }
        let stranger = match key {
            Key::Secret(_) => Key::Secret([8; 32]),
            Key::Rsa(_) => Key::rsa(),
            Key::Curve(_) => Key::curve(),
        };
        let forged = send(&mut scene.client, &stranger.sign(&claims(json!({})))).await;
        assert_eq!(forged.status, 401, "{}", key.algorithm());
        assert!(forged.text().contains("signature is wrong"), "{}", forged.text());
    }
    assert_eq!(scene.upstream.seen().requests, 6);
}

#[tokio::test]
async fn the_token_is_forwarded_when_asked() {
    let key = Key::secret();
    let settings = settings(&[&key], json!({"forwardOriginalToken": true}));
    let mut scene = Scene::start("jwt-auth", &settings, &[]).await;
    let token = key.sign(&claims(json!({})));
    let sent = send(&mut scene.client, &token).await.json();
    assert_eq!(sent["headers"]["authorization"], format!("Bearer {token}"));
}

#[tokio::test]
async fn claims_become_headers_and_nobody_else_writes_those() {
    let key = Key::secret();
    let over = json!({
        "outputClaimToHeaders": [
            {"claim": "sub", "header": "x-user"},
            {"claim": "realm.roles", "header": "x-roles"},
        ],
        "outputPayloadToHeader": "x-payload",
    });
    let mut settings = settings(&[&key], over);
    settings["missingToken"] = "allow".into();
    let mut scene = Scene::start("jwt-auth", &settings, &[]).await;
    let spoofed = [("x-user", "root"), ("X-User", "admin"), ("x-roles", "all"), ("x-payload", "e")];

    let with_roles = claims(json!({"realm": {"roles": ["buyer", 7]}}));
    let without_roles = claims(json!({"sub": 42}));
    for (claims, user, roles) in [
        (&with_roles, "alice", json!(r#"["buyer",7]"#)),
        (&without_roles, "42", Value::Null),
        // Remembered from before.
        (&with_roles, "alice", json!(r#"["buyer",7]"#)),
    ] {
        let bearer = format!("Bearer {}", key.sign(claims));
        let headers = [&spoofed[..], &[("authorization", bearer.as_str())]].concat();
        let sent = scene.get(&headers).await.json();
        assert_eq!(sent["headers"]["x-user"], user);
        assert_eq!(sent["headers"]["x-roles"], roles);
        assert_eq!(sent["headers"]["x-payload"], base64(claims.to_string()));
    }
    let sent = scene.get(&spoofed).await.json();
    for header in ["x-user", "x-roles", "x-payload"] {
        assert_eq!(sent["headers"][header], Value::Null, "{header} without a token");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_at_its_field() {
    let key = Key::secret();
    let mut unknown = settings(&[&key], json!({}));
    unknown["jwtRules"][0]["audience"] = "shop".into();
    let path = "pluginConfig.jwtRules[0].audience";
    refused_at("jwt-auth", &unknown, path, "unknown field").await;
    let wrong_type = settings(&[&key], json!({"issuer": 7}));
    let path = "pluginConfig.jwtRules[0].issuer";
    refused_at("jwt-auth", &wrong_type, path, "invalid type").await;
    refused_at("jwt-auth", &Value::Null, "pluginConfig", "jwtRules").await;
}

#[tokio::test]
async fn a_wrong_update_leaves_the_last_good_rules_in_force() {
    let key = Key::secret();
    let good = settings(&[&key], json!({}));
    let mut scene = Scene::start("jwt-auth", &good, &[]).await;
    let wrong = settings(&[&key], json!({"jwks": {"keys": 1}}));
    scene.gateway.apply(&super::manifests(&scene.upstream, "jwt-auth", &wrong)).await;
    assert!(scene.gateway.log.iter().any(|line| line.contains("PC0406")));
    assert_eq!(scene.get(&[]).await.status, 401);
    assert_eq!(send(&mut scene.client, &key.sign(&claims(json!({})))).await.status, 200);
}
