//! Configurations that are refused, each with the path of the field.

use super::*;

fn refusal(settings: &Value) -> String {
    Host::new();
    match Plugin::<JwtAuth>::start(&settings.to_string()) {
        Ok(_) => panic!("accepted {settings}"),
        Err(line) => line,
    }
}

#[test]
fn the_path_of_the_field_is_named() {
    assert!(refusal(&json!({})).starts_with("pluginConfig: missing field `jwtRules`"));
    assert!(refusal(&json!({"jwtRules": []})).starts_with("pluginConfig.jwtRules: must hold"));
    assert!(
        refusal(&settings(json!({"isuer": "x"})))
            .starts_with("pluginConfig.jwtRules[0].isuer: unknown field")
    );
    assert!(
        refusal(&settings(json!({"issuer": ""})))
            .starts_with("pluginConfig.jwtRules[0].issuer: must not")
    );
    assert!(
        refusal(&settings(json!({"audiences": "x"})))
            .starts_with("pluginConfig.jwtRules[0].audiences: invalid")
    );
    let output = json!({"outputClaimToHeaders": [{"header": "a b", "claim": "sub"}]});
    assert!(
        refusal(&settings(output))
            .starts_with("pluginConfig.jwtRules[0].outputClaimToHeaders[0].header:")
    );
    let from = json!({"fromHeaders": [{"name": ":path"}]});
    assert!(refusal(&settings(from)).starts_with("pluginConfig.jwtRules[0].fromHeaders[0].name:"));
    let mut unknown = settings(json!({}));
    unknown["missingToken"] = json!("maybe");
    assert!(refusal(&unknown).starts_with("pluginConfig.missingToken: unknown variant"));
}

#[test]
fn bad_keys_are_named() {
    let jwks = |key: Value| settings(json!({"jwks": {"keys": [key]}}));
    for (key, field) in [
        (json!({"kty": "oct"}), ".keys[0].k: is missing"),
        (json!({"kty": "oct", "k": ""}), ".keys[0].k: must not be empty"),
        (json!({"kty": "oct", "k": "a+b="}), ".keys[0].k: is no base64url"),
        (json!({"kty": "oct", "k": 1}), ".keys[0].k: must be a string"),
        (json!({"k": "AAAA"}), ".keys[0].kty: is missing"),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), ".keys[0].n: must be of 2048"),
        (
            json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
            ".keys[0].x: must be of 32 bytes",
        ),
        (
            json!({"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA"}),
            ": has no key to verify with",
        ),
        (json!({"kty": "oct", "k": "AAAA", "use": "enc"}), ": has no key to verify with"),
        (json!("x"), ".keys[0]: must be an object"),
    ] {
        let line = refusal(&jwks(key.clone()));
        assert!(
            line.starts_with(&format!("pluginConfig.jwtRules[0].jwks{field}")),
            "{key}: {line}"
        );
    }
    for jwks in [json!({}), json!([]), json!("x"), json!({"keys": {}}), json!({"keys": []})] {
        let line = refusal(&settings(json!({"jwks": jwks})));
        assert!(line.starts_with("pluginConfig.jwtRules[0].jwks: "), "{line}");
    }
}

#[test]
fn a_jwk_set_may_be_a_string() {
    let jwks = json!({"keys": [{"kty": "oct", "k": base64(SECRET)}]}).to_string();
    let plugin = start(&settings(json!({"jwks": jwks})));
    assert!(send(&plugin, &sign(json!({"iss": "tests"}))).is_continued());
}

#[test]
fn secrets_are_not_logged() {
    let _ = start(&settings(json!({})));
    let short = json!({"jwks": {"keys": [{"kty": "oct", "k": base64("hunter2")}]}});
    drop(start(&settings(short)));
    let log = Host.log();
    assert!(log.iter().any(|(_, line)| line.contains("shorter than the 32 bytes")));
    assert!(
        log.iter().all(|(_, line)| !line.contains("hunter2") && !line.contains(&base64("hunter2")))
    );
}
