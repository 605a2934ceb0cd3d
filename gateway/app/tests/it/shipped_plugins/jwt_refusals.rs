//! jwt-auth: every refusal is 401 with its reason in body, challenge and access log, and reaches no upstream.

use serde_json::json;

use super::jwt_auth::{send, settings};
use super::signing::{Key, base64, claims, now};
use super::{HOST, Scene};

/// A token, the reason in the body, the details in the access log.
type Case = (String, &'static str, &'static str);

/// A gateway that knows one secret, and its log of details alone.
async fn scene() -> (Scene, Key) {
    let key = Key::secret();
    let arguments = ["--access-log", "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%"];
    (Scene::start("jwt-auth", &settings(&[&key], json!({})), &arguments).await, key)
}

async fn check(mut scene: Scene, cases: impl IntoIterator<Item = Case>) {
    for (token, reason, details) in cases {
        let reply = send(&mut scene.client, &token).await;
        assert_eq!(reply.status, 401, "{token}");
        assert!(reply.text().contains(reason), "{token}: {}", reply.text());
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer ") && challenge.contains(reason), "{challenge}");
        assert_eq!(scene.gateway.access_line().await, format!("401 {details}"), "{token}");
    }
    assert_eq!(scene.upstream.seen().requests, 0);
}

#[tokio::test]
async fn no_token() {
    let (mut scene, _) = scene().await;
    for headers in [&[][..], &[("authorization", "Basic YTpi")], &[("x-token", "Bearer a.b.c")]] {
        let reply = scene.get(headers).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.text(), "Unauthorized: no token was sent.\n");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"jwt-auth\"");
        assert_eq!(scene.gateway.access_line().await, "401 jwt_missing");
    }
    let reply = scene.client.get(HOST, "/?access_token=a.b.c").await;
    assert_eq!(reply.status, 401);
    assert_eq!(scene.upstream.seen().requests, 0);
}

#[tokio::test]
async fn claims_that_do_not_fit() {
    let (scene, key) = scene().await;
    let cases = [
        (json!({"exp": now() - 3600}), "has expired", "jwt_expired"),
        (json!({"exp": 0}), "has expired", "jwt_expired"),
        (json!({"nbf": now() + 3600}), "not valid yet", "jwt_not_yet_valid"),
        (json!({"exp": "tomorrow"}), "no time", "jwt_malformed"),
        (json!({"aud": "bank"}), "another audience", "jwt_audience"),
        (json!({"aud": ["bank", 7]}), "another audience", "jwt_audience"),
        (json!({"aud": null}), "another audience", "jwt_audience"),
        (json!({"iss": "https://evil.example"}), "issuer is not known", "jwt_unknown_issuer"),
        (
            json!({"iss": ["https://issuer.example.com"]}),
            "issuer is not known",
            "jwt_unknown_issuer",
        ),
        (json!({"iss": null}), "issuer is not known", "jwt_unknown_issuer"),
    ];
    let signed = |(over, reason, details)| (key.sign(&claims(over)), reason, details);
    check(scene, cases.map(signed)).await;
}

#[tokio::test]
async fn signatures_and_algorithms_that_do_not_fit() {
    let (scene, key) = scene().await;
    let claims = claims(json!({})).to_string();
    let good = key.sign_text(r#"{"alg":"HS256"}"#, &claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let of = |header: &str| key.sign_text(header, &claims);
    let unsigned = |algorithm: &str| {
        let header = base64(json!({"alg": algorithm}).to_string());
        format!("{header}.{}.{}", base64(&claims), base64("none"))
    };
    let (algorithm, wrong) = ("algorithm does not belong", "signature is wrong");
    let forged = base64(claims.replace("alice", "root"));
    check(
        scene,
        [
            (format!("{header}.{forged}.{signature}"), wrong, "jwt_bad_signature"),
            (format!("{signed}.{}", base64([0; 32])), wrong, "jwt_bad_signature"),
            (format!("{signed}.{}", base64([1; 4])), wrong, "jwt_bad_signature"),
            (unsigned("none"), algorithm, "jwt_algorithm"),
            (unsigned("NONE"), algorithm, "jwt_algorithm"),
            (of(r#"{"alg":"none"}"#), algorithm, "jwt_algorithm"),
            (of(r#"{"alg":"RS256"}"#), algorithm, "jwt_algorithm"),
            (of(r#"{"alg":"HS256","kid":"other"}"#), "key that is not known", "jwt_unknown_key"),
            (of(r#"{"alg":"HS256","crit":["exp"]}"#), "an extension", "jwt_critical_extension"),
            (of(r#"{"alg":"HS256","crit":null}"#), "an extension", "jwt_critical_extension"),
        ],
    )
    .await;
}

#[tokio::test]
async fn tokens_that_are_none() {
    let (scene, key) = scene().await;
    let claims = claims(json!({})).to_string();
    let good = key.sign_text(r#"{"alg":"HS256"}"#, &claims);
    let header = |text: &str| key.sign_text(text, &claims);
    let payload = |text: &str| key.sign_text(r#"{"alg":"HS256"}"#, text);
    let (form, in_header) = ("not of the form", "token's header is not valid");
    let in_payload = "token's payload is not valid";
    let cases = [
        (String::new(), form),
        ("nonsense".to_owned(), form),
        ("a.b".to_owned(), form),
        ("..".to_owned(), form),
        (good.rsplit_once('.').unwrap().0.to_owned() + ".", form),
        (format!("{good}.{good}"), form),
        (format!("{good}="), form),
        (good.replace('.', "+."), form),
        (format!("{good} {good}"), form),
        (header("nonsense"), in_header),
        (header("{}"), in_header),
        (header(r#"["HS256"]"#), in_header),
        (header(r#"{"alg":7}"#), in_header),
        (payload("nonsense"), in_payload),
        (payload("[]"), in_payload),
        (payload(r#"{"iss":"a","iss":"b"}"#), in_payload),
        (payload("\u{feff}{}"), in_payload),
    ];
    let malformed = cases.map(|(token, reason)| (token, reason, "jwt_malformed"));
    check(scene, malformed).await;
}

/// The gateway's own limit on one field, 16 KiB, comes first.
#[tokio::test]
async fn a_token_that_is_too_long_does_not_reach_the_plugin() {
    let (mut scene, _) = scene().await;
    assert_eq!(send(&mut scene.client, &"a".repeat(20_000)).await.status, 431);
}

#[tokio::test]
async fn one_bad_token_beside_a_good_one() {
    let (mut scene, key) = scene().await;
    let good = format!("Bearer {}", key.sign(&claims(json!({}))));
    let old = format!("Bearer {}", key.sign(&claims(json!({"exp": 1}))));
    let reply = scene.get(&[("authorization", &good), ("authorization", &old)]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (401, "Unauthorized: the token has expired.\n")
    );
    assert_eq!(scene.upstream.seen().requests, 0);
}
