//! The little DER that the host wants: public keys as SubjectPublicKeyInfo (RFC 5280), ECDSA signatures (RFC 3279).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// AlgorithmIdentifier of rsaEncryption, 1.2.840.113549.1.1.1 with parameters NULL.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// AlgorithmIdentifier of id-ecPublicKey, 1.2.840.10045.2.1, on prime256v1, 1.2.840.10045.3.1.7.
const EC_P256: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// A public RSA key from modulus and exponent, both big-endian.
pub(crate) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[&unsigned(modulus), &unsigned(exponent)]);
    element(SEQUENCE, &[&RSA_ENCRYPTION, &element(BIT_STRING, &[&[0], &key])])
}

/// A public key on P-256 from its point's coordinates.
pub(crate) fn p256_public_key(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    element(SEQUENCE, &[&EC_P256, &element(BIT_STRING, &[&[0], &[4], x, y])])
}

/// An ECDSA signature on P-256 from JOSE's `r || s`; None when it is not of 64 bytes.
pub(crate) fn ecdsa_signature(raw: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(32)?;
    (s.len() == 32).then(|| element(SEQUENCE, &[&unsigned(r), &unsigned(s)]))
}

/// INTEGER is signed and of the fewest bytes: leading zeros go, one comes back where the first bit is set.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    match significant.first() {
        None => element(INTEGER, &[&[0]]),
        Some(0x80..) => element(INTEGER, &[&[0], significant]),
        Some(_) => element(INTEGER, &[significant]),
    }
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + 6);
    bytes.push(tag);
    let encoded = length.to_be_bytes();
    let zeros = encoded.iter().take_while(|byte| **byte == 0).count();
    let significant = encoded.get(zeros..).unwrap_or_default();
    if length > 0x7f {
        bytes.push(0x80 | significant.len() as u8);
        bytes.extend_from_slice(significant);
    } else {
        bytes.push(length as u8);
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_positive_and_short() {
        assert_eq!(unsigned(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn a_long_element_has_a_long_length() {
        let bytes = element(SEQUENCE, &[&[7; 300]]);
        assert_eq!(&bytes[..5], [0x30, 0x82, 0x01, 0x2c, 7]);
    }

    #[test]
    fn a_signature_of_another_length_is_none() {
        for length in [0, 31, 32, 63, 65, 128] {
            assert_eq!(ecdsa_signature(&vec![1; length]), None, "{length}");
        }
    }

    #[test]
    fn a_p256_key_is_read_by_another_implementation() {
        use p256::ecdsa::{
            Signature, SigningKey, VerifyingKey, signature::Signer, signature::Verifier,
        };
        use p256::pkcs8::DecodePublicKey;

        let signing = SigningKey::from_slice(&[0x5a; 32]).unwrap();
        let point = signing.verifying_key().to_encoded_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        let der = p256_public_key(x[..].try_into().unwrap(), y[..].try_into().unwrap());
        let verifying = VerifyingKey::from_public_key_der(&der).unwrap();
        for message in 0..64_u8 {
            let signature: Signature = signing.sign(&[message]);
            let der = ecdsa_signature(&signature.to_bytes()).unwrap();
            verifying.verify(&[message], &Signature::from_der(&der).unwrap()).unwrap();
        }
    }
}
