//! What a payload may say (RFC 7519 section 4.1).

use super::signer::Signer;
use super::{TOKEN_AUDIENCE, TOKEN_ISSUER, TokenFault, TokenVector, put};

/// Times, issuers, audiences and the types of all registered claims.
pub(super) fn add(vectors: &mut Vec<TokenVector>, signers: &[Signer], now: u64) {
    let signer = signers.iter().find(|signer| signer.algorithm == "EdDSA").unwrap();
    let mut of = |name: String, claims: String, fault: Option<TokenFault>| {
        put(vectors, name, signer.token(&claims), fault);
    };
    for (claim, fault) in times(now) {
        let claims = format!(r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}",{claim}}}"#);
        of(format!("claims: {claim}"), claims, fault);
    }
    for (issuer, fault) in issuers() {
        let claims = format!(r#"{{{issuer}"aud":"{TOKEN_AUDIENCE}"}}"#);
        of(format!("issuer: {issuer}"), claims, fault);
    }
    for (audience, fault) in audiences() {
        let claims = format!(r#"{{"iss":"{TOKEN_ISSUER}"{audience}}}"#);
        of(format!("audience: {audience}"), claims, fault);
    }
}

fn times(now: u64) -> Vec<(String, Option<TokenFault>)> {
    use TokenFault::{Claim, Expired, Malformed, NotYet};
    let (hour, day) = (3600, 86_400);
    let mut all = vec![
        (format!(r#""exp":{}"#, now + hour), None),
        (format!(r#""exp":{}.5"#, now + hour), None),
        (format!(r#""exp":{}e0"#, now + hour), None),
        (format!(r#""exp":{}"#, now - 20), None),
        (format!(r#""exp":{}"#, now - hour), Some(Expired)),
        (format!(r#""exp":{}.25"#, now - hour), Some(Expired)),
        (format!(r#""nbf":{}"#, now - hour), None),
        (format!(r#""nbf":{}"#, now + 20), None),
        (format!(r#""nbf":{}"#, now + hour), Some(NotYet)),
        (format!(r#""nbf":{}"#, now * 1000), Some(NotYet)),
        (format!(r#""iat":{}"#, now + day), None),
        (format!(r#""iat":{},"exp":{}"#, now - day, now - hour), Some(Expired)),
        (format!(r#""nbf":{},"exp":{}"#, now - day, now + day), None),
        (format!(r#""nbf":{},"exp":{}"#, now + day, now - day), Some(Expired)),
    ];
    for (claim, fault) in [
        (r#""sub":"ann""#, None),
        (r#""exp":0"#, Some(Expired)),
        (r#""exp":-1"#, Some(Expired)),
        (r#""exp":-1e300"#, Some(Expired)),
        (r#""exp":1e300"#, None),
        (r#""exp":9223372036854775807"#, None),
        (r#""exp":18446744073709551615"#, None),
        (r#""exp":99999999999999999999999"#, None),
        (r#""exp":1e999"#, Some(Malformed)),
        (r#""exp":NaN"#, Some(Malformed)),
        (r#""exp":Infinity"#, Some(Malformed)),
        (r#""exp":0x7fffffff"#, Some(Malformed)),
        (r#""exp":+9999999999"#, Some(Malformed)),
        (r#""exp":09999999999"#, Some(Malformed)),
        (r#""exp":"9999999999""#, Some(Claim)),
        (r#""exp":"never""#, Some(Claim)),
        (r#""exp":"""#, Some(Claim)),
        (r#""exp":null"#, Some(Claim)),
        (r#""exp":true"#, Some(Claim)),
        (r#""exp":[9999999999]"#, Some(Claim)),
        (r#""exp":{"$gt":0}"#, Some(Claim)),
        (r#""Exp":1"#, None),
        (r#""nbf":0"#, None),
        (r#""nbf":-1"#, None),
        (r#""nbf":"0""#, Some(Claim)),
        (r#""nbf":null"#, Some(Claim)),
        (r#""nbf":[]"#, Some(Claim)),
        (r#""nbf":1e300"#, Some(NotYet)),
        (r#""iat":"now""#, Some(Claim)),
        (r#""iat":null"#, Some(Claim)),
        (r#""iat":{}"#, Some(Claim)),
        (r#""sub":1"#, Some(Claim)),
        (r#""sub":null"#, Some(Claim)),
        (r#""sub":["ann"]"#, Some(Claim)),
        (r#""sub":"""#, None),
        (r#""jti":"x""#, None),
        (r#""jti":1"#, Some(Claim)),
        (r#""x":1,"x":1"#, Some(Malformed)),
        (r#""sub":"ann","sub":"root""#, Some(Malformed)),
        (r#""exp":1,"exp":9999999999"#, Some(Malformed)),
        (r#""o":{"x":1,"\u0078":1}"#, Some(Malformed)),
        (r#""iss":"https://other.example""#, Some(Malformed)),
    ] {
        all.push((claim.to_owned(), fault));
    }
    all
}

fn issuers() -> Vec<(&'static str, Option<TokenFault>)> {
    let other = Some(TokenFault::Issuer);
    vec![
        (r#""iss":"https://issuer.example","#, None),
        (r#""iss":"https:\/\/issuer.example","#, None),
        (r#""iss":"\u0068ttps://issuer.example","#, None),
        ("", other),
        (r#""iss":"","#, other),
        (r#""iss":"https://issuer.example/","#, other),
        (r#""iss":"HTTPS://ISSUER.EXAMPLE","#, other),
        (r#""iss":" https://issuer.example","#, other),
        (r#""iss":"https://issuer.example\u0000","#, other),
        (r#""iss":"https://issuer.example.attacker.example","#, other),
        (r#""iss":null,"#, other),
        (r#""iss":1,"#, other),
        (r#""iss":["https://issuer.example"],"#, other),
        (r#""iss":{"iss":"https://issuer.example"},"#, other),
        (r#""Iss":"https://issuer.example","#, other),
    ]
}

fn audiences() -> Vec<(&'static str, Option<TokenFault>)> {
    let (other, wrong) = (Some(TokenFault::Audience), Some(TokenFault::Claim));
    vec![
        (r#","aud":"shop""#, None),
        (r#","aud":["shop"]"#, None),
        (r#","aud":["other","shop"]"#, None),
        (r#","aud":["shop","shop"]"#, None),
        ("", other),
        (r#","aud":"""#, other),
        (r#","aud":[]"#, other),
        (r#","aud":"other""#, other),
        (r#","aud":["other"]"#, other),
        (r#","aud":"shop,other""#, other),
        (r#","aud":"shop other""#, other),
        (r#","aud":"Shop""#, other),
        (r#","aud":"shop ""#, other),
        (r#","aud":["shop other"]"#, other),
        (r#","aud":"shopping""#, other),
        (r#","azp":"shop""#, other),
        (r#","aud":null"#, wrong),
        (r#","aud":1"#, wrong),
        (r#","aud":true"#, wrong),
        (r#","aud":{"shop":1}"#, wrong),
        (r#","aud":[["shop"]]"#, wrong),
        (r#","aud":["shop",1]"#, wrong),
        (r#","aud":["shop",null]"#, wrong),
    ]
}
