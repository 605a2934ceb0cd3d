//! Good tokens of every algorithm, changed by somebody without the key.

use super::signer::{Signer, encode};
use super::{TokenFault, TokenVector, good_claims, put};

/// Signatures and signed texts that were tampered with.
pub(super) fn add(vectors: &mut Vec<TokenVector>, signers: &[Signer], now: u64) {
    let payload = good_claims(now);
    for signer in signers {
        add_signatures(vectors, signer, &payload);
        add_texts(vectors, signer, &payload);
    }
    for signer in signers.iter().filter(|signer| signer.algorithm.starts_with("ES")) {
        add_of_curve(vectors, signer, &payload);
    }
    for signer in signers.iter().filter(|signer| signer.algorithm == "EdDSA") {
        add_of_ed25519(vectors, signer, &payload);
    }
}

/// A token with another signature.
fn with_signature(signer: &Signer, payload: &str, make: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", encode(signer.header("")), encode(payload));
    let signature = make(signer.sign(signed.as_bytes()));
    format!("{signed}.{}", encode(signature))
}

fn add_signatures(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    type Make = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Make); 9] = [
        ("first bit of the signature", |mut bytes| {
            bytes[0] ^= 0x80;
            bytes
        }),
        ("last bit of the signature", |mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }),
        ("shortened", |mut bytes| {
            bytes.pop();
            bytes
        }),
        ("lengthened", |mut bytes| {
            bytes.push(0);
            bytes
        }),
        ("a zero before", |bytes| [&[0], &bytes[..]].concat()),
        ("twice", |bytes| [&bytes[..], &bytes[..]].concat()),
        ("all zero", |bytes| vec![0; bytes.len()]),
        ("all ones", |bytes| vec![0xff; bytes.len()]),
        ("one byte", |_| vec![1]),
    ];
    for (name, make) in changes {
        let name = format!("{}: {name}", signer.algorithm);
        put(vectors, name, with_signature(signer, payload, make), TokenFault::Signature);
    }
    let token = signer.token(payload);
    let (signed, _) = token.rsplit_once('.').unwrap();
    put(
        vectors,
        format!("{}: no signature", signer.algorithm),
        format!("{signed}."),
        TokenFault::Malformed,
    );
}

fn add_texts(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    let token = signer.token(payload);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts[..] else { panic!("three parts") };
    let other = encode(payload.replace("ann", "bob"));
    let spaced = encode(signer.header(" "));
    let algorithm = signer.algorithm;
    for (name, token, fault) in [
        ("another subject", format!("{header}.{other}.{signature}"), TokenFault::Signature),
        ("another header", format!("{spaced}.{body}.{signature}"), TokenFault::Signature),
        ("padding", format!("{token}=="), TokenFault::Malformed),
        ("a blank behind", format!("{header}.{body}.{signature} x"), TokenFault::Malformed),
        ("a dot behind", format!("{token}."), TokenFault::Malformed),
        ("a dot before", format!(".{token}"), TokenFault::Malformed),
        ("a fourth part", format!("{token}.{signature}"), TokenFault::Malformed),
        ("no payload", format!("{header}..{signature}"), TokenFault::Malformed),
        ("no header", format!(".{body}.{signature}"), TokenFault::Malformed),
    ] {
        put(vectors, format!("{algorithm}: {name}"), token, fault);
    }
}

/// ECDSA: signatures that match everything with careless verifiers, and other forms of good ones.
fn add_of_curve(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    type Make = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Make); 6] = [
        ("r is zero", |mut bytes| {
            let half = bytes.len() / 2;
            bytes[..half].fill(0);
            bytes
        }),
        ("s is zero", |mut bytes| {
            let half = bytes.len() / 2;
            bytes[half..].fill(0);
            bytes
        }),
        ("r and s exchanged", |mut bytes| {
            let half = bytes.len() / 2;
            bytes.rotate_left(half);
            bytes
        }),
        ("r and s are one", |bytes| {
            let mut one = vec![0; bytes.len()];
            one[bytes.len() / 2 - 1] = 1;
            one[bytes.len() - 1] = 1;
            one
        }),
        ("in DER", |bytes| {
            let (r, s) = bytes.split_at(bytes.len() / 2);
            let integer = |number: &[u8]| {
                let number = [&[0], number].concat();
                [&[2, number.len() as u8], &number[..]].concat()
            };
            let both = [integer(r), integer(s)].concat();
            let length = if both.len() > 127 {
                vec![0x81, both.len() as u8]
            } else {
                vec![both.len() as u8]
            };
            [&[0x30], &length[..], &both[..]].concat()
        }),
        ("zero in DER", |_| vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
    ];
    for (name, make) in changes {
        let name = format!("{}: {name}", signer.algorithm);
        put(vectors, name, with_signature(signer, payload, make), TokenFault::Signature);
    }
}

/// Ed25519: s beyond the order of the group, and points of small order.
fn add_of_ed25519(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let beyond = with_signature(signer, payload, |mut bytes| {
        let mut carry = 0_u16;
        for (byte, add) in bytes[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        bytes
    });
    put(vectors, "EdDSA: s beyond the order", beyond, TokenFault::Signature);
    let neutral = with_signature(signer, payload, |_| {
        let mut bytes = vec![0; 64];
        bytes[0] = 1;
        bytes
    });
    put(vectors, "EdDSA: the neutral point", neutral, TokenFault::Signature);
}
