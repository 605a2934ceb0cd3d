//! Tokens: whose are taken.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testkit::manifests::{
    edge_policy, http_gateway, request_authentication, virtual_service,
};
use portcullis_testkit::{Call, Client, TOKEN_AUDIENCE, TOKEN_ISSUER, TokenCorpus};
use serde_json::{Value, json};

use super::{Pair, pilot};
use crate::envoy::process::api;
use crate::shop::{HOST, TO_BLUE};

/// Envoy's settings for one rule of a RequestAuthentication: a token may be missing, but not be bad.
pub fn authentication(jwks: &str) -> Value {
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": api("filters.http.jwt_authn.v3.JwtAuthentication"),
            "providers": {"one": {
                "issuer": TOKEN_ISSUER,
                "audiences": [TOKEN_AUDIENCE],
                "local_jwks": {"inline_string": jwks},
                "payload_in_metadata": "payload",
                "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
            }},
            "rules": [{
                "match": {"prefix": "/"},
                "requires": {"requires_any": {"requirements": [
                    {"provider_name": "one"},
                    {"allow_missing": {}},
                ]}},
            }],
        },
    })
}

/// The documents that say the same to the gateway.
pub fn policy(jwks: &str) -> String {
    let rule =
        format!("- issuer: {TOKEN_ISSUER}\n  audiences: [{TOKEN_AUDIENCE}]\n  jwks: '{jwks}'\n");
    request_authentication("tokens", &rule)
}

/// Tokens, by the beginnings of their names, that Envoy takes and the gateway does not; and why.
const STRICTER: [(&str, &str); 26] = [
    ("HS256 by the key of E", KEY),
    ("HS384 by the key of E", KEY),
    ("HS512 by the key of E", KEY),
    ("RS256 by the key of E", KEY),
    ("RS384 by the key of E", KEY),
    ("RS512 by the key of E", KEY),
    ("PS256 by the key of E", KEY),
    ("PS384 by the key of E", KEY),
    ("PS512 by the key of E", KEY),
    ("EdDSA by the key of E", KEY),
    ("ES256 by the key of E", KEY),
    ("ES384 by the key of E", KEY),
    ("ES512 by the key of E", KEY),
    ("a key for encryption", "a key with `use: enc` verifies nothing"),
    ("kid ", "an empty key id is the id of no key"),
    ("crit ", "whatever `crit` demands is not served"),
    ("b64 ", "whatever `crit` demands is not served"),
    ("claims: \"exp\":0", "0 is a time that has passed"),
    ("encoding: ", STRICT),
    ("payload: ", STRICT),
    ("header: ", STRICT),
    ("size: ", "a token has at most 16 KiB"),
    ("HS", STRICT),
    ("RS", STRICT),
    ("PS", STRICT),
    ("E", STRICT),
];
const KEY: &str = "a key has one algorithm, whatever a token says";
const STRICT: &str = "strict JSON and base64url, and signatures of one length";
/// Tokens that the gateway takes and Envoy does not; and why.
const WIDER: [(&str, &str); 5] = [
    ("claims: \"exp\":1e300", FAR),
    ("claims: \"exp\":18446744073709551615", FAR),
    ("claims: \"exp\":99999999999999999999999", FAR),
    ("claims: \"nbf\":-1", FAR),
    ("payload: deep", "payloads may be a hundred levels deep"),
];
const FAR: &str = "a time is a number of any size";

#[tokio::test]
async fn the_same_tokens_are_taken() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let corpus = TokenCorpus::generate(now);
    let hosts = json!([{
        "name": "all",
        "domains": ["*"],
        "routes": pilot::routes(&json!([{"route": [{"destination": {"host": "blue.example"}}]}])),
    }]);
    let documents = [
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        policy(&corpus.jwks),
        edge_policy("longer", "{limits: {fieldBytes: 64Ki}}"),
    ];
    let mut pair = Pair::open(hosts, &[authentication(&corpus.jwks)], &documents).await;
    let mut differences = Vec::new();
    for vector in &corpus.vectors {
        let addresses = [pair.process.address("gateway"), pair.gateway.address("http")];
        let theirs = taken(&mut pair.envoy, addresses[0], &vector.token).await;
        let ours = taken(&mut pair.ours, addresses[1], &vector.token).await;
        if theirs != ours {
            differences.push((ours, vector.name.as_str()));
        }
    }
    let listed = |(ours, name): &(bool, &str)| {
        let list: &[(&str, &str)] = if *ours { &WIDER } else { &STRICTER };
        list.iter().any(|(known, _)| name.starts_with(known))
    };
    let unlisted: Vec<_> = differences.iter().filter(|difference| !listed(difference)).collect();
    assert!(unlisted.is_empty(), "(taken by ours, token): {unlisted:#?}");
    for (list, ours) in [(&STRICTER[..], false), (&WIDER[..], true)] {
        for (known, _) in list {
            let found =
                differences.iter().any(|(taken, name)| *taken == ours && name.starts_with(known));
            assert!(found, "{known}: no longer differs");
        }
    }
}

/// Whether a request with this token comes through; a connection that is closed on it is opened again.
async fn taken(client: &mut Client, address: std::net::SocketAddr, token: &str) -> bool {
    let call = Call::get(HOST, "/").header("authorization", &format!("Bearer {token}"));
    match client.try_call(call).await {
        Ok(reply) => reply.status == 200,
        Err(_) => {
            *client = Client::http1(address).await.unwrap();
            false
        }
    }
}
