//! Tokens that are none.

use super::*;

const FORM: &str = "the token is not of the form header.payload.signature in base64url";
const HEADER: &str = "the token's header is not valid";
const PAYLOAD: &str = "the token's payload is not valid";

#[test]
fn the_form_is_strict() {
    let plugin = start(&settings(json!({})));
    let good = sign(json!({"iss": "tests"}));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "abc".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature} {signature}"),
        format!("{header}.{payload}.+/{signature}"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}\u{e9}.{payload}.{signature}"),
        format!("{header}.{payload}.{signature},{good}"),
    ] {
        assert_eq!(reason(send(&plugin, &token)), FORM, "{token}");
    }
}

/// The last character carries bits that mean nothing: with them set there would be several spellings of one token.
#[test]
fn bits_behind_the_end_are_refused() {
    let plugin = start(&settings(json!({})));
    let good = sign(json!({"iss": "tests"}));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.iter().position(|byte| *byte == *good.as_bytes().last().unwrap()).unwrap();
    let spelled = format!("{}{}", &good[..good.len() - 1], char::from(alphabet[last + 1]));
    assert_eq!(reason(send(&plugin, &spelled)), FORM);
}

#[test]
fn the_header_is_an_object_with_an_algorithm() {
    let plugin = start(&settings(json!({})));
    for header in [
        "",
        "x",
        "[]",
        r#"["HS256"]"#,
        r#"["HS256",null,null]"#,
        "{}",
        "null",
        r#"{"alg":null}"#,
        r#"{"alg":1}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":"HS256",}"#,
    ] {
        let expected = if header.is_empty() { FORM } else { HEADER };
        assert_eq!(
            reason(send(&plugin, &sign_raw(header, r#"{"iss":"tests"}"#))),
            expected,
            "{header}"
        );
    }
}

#[test]
fn the_payload_is_an_object_without_doubles() {
    let plugin = start(&settings(json!({})));
    for payload in [
        "x",
        "[]",
        "null",
        "1",
        r#"{"iss":"tests","iss":"tests"}"#,
        r#"{"iss":"tests"} x"#,
        "{'iss':1}",
    ] {
        let token = sign_raw(r#"{"alg":"HS256"}"#, payload);
        assert_eq!(reason(send(&plugin, &token)), PAYLOAD, "{payload}");
    }
    let deep = format!(r#"{{"iss":"tests","a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(reason(send(&plugin, &sign_raw(r#"{"alg":"HS256"}"#, &deep))), PAYLOAD);
}

#[test]
fn the_issuer_is_a_known_string() {
    let plugin = start(&settings(json!({})));
    for claims in
        [json!({}), json!({"iss": "other"}), json!({"iss": ["tests"]}), json!({"iss": null})]
    {
        assert_eq!(
            reason(send(&plugin, &sign(claims.clone()))),
            "the token's issuer is not known",
            "{claims}"
        );
    }
}

#[test]
fn critical_extensions_are_refused_known_or_not() {
    let plugin = start(&settings(json!({})));
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("x"), json!(null), json!(1)] {
        let token =
            sign_raw(&json!({"alg": "HS256", "crit": crit}).to_string(), r#"{"iss":"tests"}"#);
        let expected = "the token demands an extension that is not supported";
        assert_eq!(reason(send(&plugin, &token)), expected, "{crit}");
    }
}

#[test]
fn a_huge_token_is_refused_unread() {
    let plugin = start(&settings(json!({})));
    let token = sign(json!({"iss": "tests", "pad": "x".repeat(20_000)}));
    assert_eq!(reason(send(&plugin, &token)), "the token is too long");
}
