//! The corpus of tokens before the verifier: every verdict has to be right, and for the right reason.

use portcullis_testkit::{TOKEN_AUDIENCE, TOKEN_ISSUER, TokenCorpus};

use super::*;

const NOW: u64 = 1_800_000_000;

fn verdict(keys: &KeySet, token: &str, expected: &Expected<'_>) -> Result<(), TokenError> {
    let unverified = UnverifiedToken::read(token)?;
    // By its issuer a token is given to those keys, before anything else is known of it.
    if expected.issuer.is_some_and(|issuer| unverified.claimed_issuer() != Some(issuer)) {
        return Err(TokenError::Issuer);
    }
    let signed = unverified.check_signature(keys, &mut Attempts::default())?;
    unverified.claims(signed).check(expected)
}

#[test]
fn the_corpus_gets_its_verdicts() {
    let corpus = TokenCorpus::generate(NOW);
    let keys = KeySet::parse(corpus.jwks.as_bytes()).unwrap();
    let audiences = [TOKEN_AUDIENCE];
    let expected =
        Expected { now: NOW, leeway: 60, issuer: Some(TOKEN_ISSUER), audiences: &audiences };
    let mut wrong = Vec::new();
    for vector in &corpus.vectors {
        let got = verdict(&keys, &vector.token, &expected).err().map(|error| format!("{error:?}"));
        let wanted = vector.fault.map(|fault| format!("{fault:?}"));
        if got != wanted {
            wrong.push(format!("{}: {got:?} instead of {wanted:?}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(corpus.vectors.len() >= 500, "{} vectors", corpus.vectors.len());
}

#[test]
fn the_examples_of_the_rfcs_get_their_verdicts() {
    for (jwks, vector) in TokenCorpus::of_rfcs() {
        let keys = KeySet::parse(jwks.as_bytes()).unwrap();
        let at = |now: u64| {
            let expected = Expected { now, issuer: Some("joe"), ..Expected::default() };
            verdict(&keys, &vector.token, &expected).err().map(|error| format!("{error:?}"))
        };
        let wanted = vector.fault.map(|fault| format!("{fault:?}"));
        assert_eq!(at(1_300_819_379), wanted, "{}", vector.name);
        if wanted.is_none() {
            assert_eq!(at(1_300_819_380).as_deref(), Some("Expired"), "{}", vector.name);
        }
    }
}

#[test]
fn keys_of_small_order_verify_nothing() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let point = |first: u8, middle: u8, last: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    let eighth = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let mut of_order_eight = [0; 32];
    for (index, byte) in of_order_eight.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&eighth[2 * index..2 * index + 2], 16).unwrap();
    }
    for small in [
        point(0, 0, 0),
        point(1, 0, 0),
        point(1, 0, 0x80),
        point(0xec, 0xff, 0x7f),
        point(0xed, 0xff, 0x7f),
        point(0xee, 0xff, 0xff),
        of_order_eight,
    ] {
        let x = URL_SAFE_NO_PAD.encode(small);
        let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
        assert!(KeySet::parse(set.as_bytes()).unwrap().is_empty(), "{small:02x?}");
    }
}
