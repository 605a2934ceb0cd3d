//! Hashes, HMAC and signatures in pure Rust, inside the module: feature `pure-crypto`.

use std::fmt;

use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// SHA-256.
///
/// ```
/// let digest = portcullis_sdk::crypto::sha256(b"abc");
/// assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
/// ```
pub fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// SHA-384.
///
/// ```
/// let digest = portcullis_sdk::crypto::sha384(b"abc");
/// assert_eq!(digest[..4], [0xcb, 0x00, 0x75, 0x3f]);
/// ```
pub fn sha384(text: &[u8]) -> [u8; 48] {
    Sha384::digest(text).into()
}

/// SHA-512.
///
/// ```
/// let digest = portcullis_sdk::crypto::sha512(b"abc");
/// assert_eq!(digest[..4], [0xdd, 0xaf, 0x35, 0xa1]);
/// ```
pub fn sha512(text: &[u8]) -> [u8; 64] {
    Sha512::digest(text).into()
}

/// HMAC with SHA-256, under a key of any length. Compare it by [`is_equal`](super::is_equal) alone.
///
/// ```
/// use portcullis_sdk::crypto::{hmac_sha256, is_equal};
///
/// let expected = hmac_sha256(b"key", b"body");
/// assert!(!is_equal(&expected, b"what the client sent"));
/// ```
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    keyed::<Hmac<Sha256>>(key, text).map(Into::into).unwrap_or([0; 32])
}

/// HMAC with SHA-384, under a key of any length.
///
/// ```
/// assert_eq!(portcullis_sdk::crypto::hmac_sha384(b"key", b"body").len(), 48);
/// ```
pub fn hmac_sha384(key: &[u8], text: &[u8]) -> [u8; 48] {
    keyed::<Hmac<Sha384>>(key, text).map(Into::into).unwrap_or([0; 48])
}

/// HMAC with SHA-512, under a key of any length.
///
/// ```
/// assert_eq!(portcullis_sdk::crypto::hmac_sha512(b"key", b"body").len(), 64);
/// ```
pub fn hmac_sha512(key: &[u8], text: &[u8]) -> [u8; 64] {
    keyed::<Hmac<Sha512>>(key, text).map(Into::into).unwrap_or([0; 64])
}

/// An elliptic curve, with the hash that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256 with SHA-256: `ES256` of tokens.
    P256,
    /// P-384 with SHA-384: `ES384` of tokens.
    P384,
}

/// The bytes are no public key of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

/// Whether an ECDSA signature, its two numbers one after the other as in tokens, over `text` was made by the owner of a
/// public key: a point as in SEC 1, `04` and both coordinates. A signature of another form verifies nothing.
///
/// ```
/// use portcullis_sdk::crypto::{Curve, InvalidKey, verify_ecdsa};
///
/// assert_eq!(verify_ecdsa(Curve::P256, b"no key", &[0; 64], b"text"), Err(InvalidKey));
/// ```
pub fn verify_ecdsa(
    curve: Curve,
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<bool, InvalidKey> {
    match curve {
        Curve::P256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key);
            let signature = p256::ecdsa::Signature::from_slice(signature);
            let key = key.map_err(|_| InvalidKey)?;
            Ok(signature.is_ok_and(|signature| key.verify(text, &signature).is_ok()))
        }
        Curve::P384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key);
            let signature = p384::ecdsa::Signature::from_slice(signature);
            let key = key.map_err(|_| InvalidKey)?;
            Ok(signature.is_ok_and(|signature| key.verify(text, &signature).is_ok()))
        }
    }
}

/// Whether an Ed25519 signature (64 bytes) over `text` was made by the owner of a public key (32 bytes): `EdDSA` of
/// tokens. Keys and signatures of small order, which fit many texts, verify nothing.
///
/// ```
/// use portcullis_sdk::crypto::verify_ed25519;
///
/// assert!(verify_ed25519(b"too short", &[0; 64], b"text").is_err());
/// ```
pub fn verify_ed25519(
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<bool, InvalidKey> {
    let key = public_key.try_into().map_err(|_| InvalidKey)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| InvalidKey)?;
    let signature = ed25519_dalek::Signature::from_slice(signature);
    Ok(signature.is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()))
}

/// HMAC takes keys of any length: the error is none that happens.
fn keyed<M: Mac + hmac::digest::KeyInit>(
    key: &[u8],
    text: &[u8],
) -> Option<hmac::digest::Output<M>> {
    let mut mac = <M as Mac>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac.finalize().into_bytes())
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the public key cannot be read")
    }
}

impl std::error::Error for InvalidKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    /// FIPS 180-4's examples.
    #[test]
    fn hashes_are_those_of_the_standard() {
        let sha256_abc = "ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad";
        assert_eq!(sha256(b"abc").to_vec(), bytes(sha256_abc));
        let sha384_abc = "cb00753f45a35e8b b5a03d699ac65007 272c32ab0eded163 1a8b605a43ff5bed \
            8086072ba1e7cc23 58baeca134c825a7";
        assert_eq!(sha384(b"abc").to_vec(), bytes(sha384_abc));
        let sha512_abc = "ddaf35a193617aba cc417349ae204131 12e6fa4e89a97ea2 0a9eeee64b55d39a \
            2192992a274fc1a8 36ba3c23a3feebbd 454d4423643ce80e 2a9ac94fa54ca49f";
        assert_eq!(sha512(b"abc").to_vec(), bytes(sha512_abc));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmacs_are_those_of_the_standard() {
        let (key, text) = (b"Jefe", b"what do ya want for nothing?");
        let with_sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac_sha256(key, text).to_vec(), bytes(with_sha256));
        let with_sha384 = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
            8e2240ca5e69e2c78b3239ecfab21649";
        assert_eq!(hmac_sha384(key, text).to_vec(), bytes(with_sha384));
        let with_sha512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
            9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
        assert_eq!(hmac_sha512(key, text).to_vec(), bytes(with_sha512));
    }

    /// RFC 6979, appendices A.2.5 and A.2.6.
    #[test]
    fn ecdsa_verifies_what_the_standard_signed() {
        let key = "04 60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6 \
            7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
        let signature = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716 \
            F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
        check_ecdsa(Curve::P256, &bytes(key), &bytes(signature));
        let key = "04 EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64\
            DEF8F0EA9055866064A254515480BC13 8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9\
            F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720";
        let signature = "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C\
            81A648152E44ACF96E36DD1E80FABE46 99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526\
            203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8";
        check_ecdsa(Curve::P384, &bytes(key), &bytes(signature));
    }

    fn check_ecdsa(curve: Curve, key: &[u8], signature: &[u8]) {
        assert_eq!(verify_ecdsa(curve, key, signature, b"sample"), Ok(true));
        assert_eq!(verify_ecdsa(curve, key, signature, b"Sample"), Ok(false));
        assert_eq!(verify_ecdsa(curve, key, &signature[1..], b"sample"), Ok(false));
        assert_eq!(verify_ecdsa(curve, key, &vec![0; signature.len()], b"sample"), Ok(false));
        let mut off_the_curve = key.to_vec();
        off_the_curve[7] ^= 1;
        assert_eq!(verify_ecdsa(curve, &off_the_curve, signature, b"sample"), Err(InvalidKey));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn ed25519_verifies_what_the_standard_signed() {
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
            085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(verify_ed25519(&key, &signature, &[0x72]), Ok(true));
        assert_eq!(verify_ed25519(&key, &signature, &[0x73]), Ok(false));
        assert_eq!(verify_ed25519(&key, &signature[1..], &[0x72]), Ok(false));
        // The neutral point and an empty signature would fit every text.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let empty = [neutral, [0; 32]].concat();
        assert_eq!(verify_ed25519(&neutral, &empty, b"any"), Ok(false));
    }
}
