//! Signatures of images by keys, as cosign makes them: bundles that refer to the image (version 3), and the tag with
//! the ending `.sig` (version 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::PublicKey;
use serde::Deserialize;

use crate::SupplyError;
use crate::manifest::{Descriptor, Document};
use crate::registry::Repository;

/// A signature is small, with all that vouches for it.
const MOST_BYTES: usize = 128 << 10;
/// So many signatures of one image are looked at, of each version.
const MOST_SIGNATURES: usize = 32;
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const SIMPLE_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What is signed within an envelope.
pub(crate) const STATEMENT: &str = "application/vnd.in-toto+json";
/// What a signature states of its image. Other statements by the same key (what was found in it, how it was built) say
/// nothing of whether it may run.
pub(crate) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// What version 2 says for the same.
const SIGNED_SIMPLY: &str = "cosign container image signature";

/// Whether one of these keys has signed the image that is known by one of these digests.
///
/// # Errors
/// Says what was found instead.
pub(crate) async fn check_signature(
    repository: &mut Repository<'_>,
    digests: &[String],
    keys: &[PublicKey],
) -> Result<PublicKey, SupplyError> {
    let mut seen = 0;
    let mut last = None;
    for digest in digests {
        for signed in find_signatures(repository, digest).await? {
            seen += 1;
            let mut verdicts = keys.iter().map(|key| signed.names(digest, key).map(|()| key));
            if let Some(key) = verdicts.find_map(keep(&mut last)) {
                return Ok(key.clone());
            }
        }
    }
    let digest = digests.first().map_or("", String::as_str);
    Err(SupplyError::Signature(match last {
        Some(why) => format!("none of the {seen} signatures of {digest} is good: {why}"),
        None => format!("{digest} is not signed"),
    }))
}

fn keep<'k>(
    last: &mut Option<&'static str>,
) -> impl FnMut(Result<&'k PublicKey, &'static str>) -> Option<&'k PublicKey> {
    move |verdict| verdict.map_err(|why| *last = Some(why)).ok()
}

enum Signed {
    Bundle(Bundle),
    Simple(SimpleSigning),
}

impl Signed {
    fn names(&self, digest: &str, key: &PublicKey) -> Result<(), &'static str> {
        match self {
            Signed::Bundle(bundle) => bundle.names(digest, key),
            Signed::Simple(simple) => simple.names(digest, key),
        }
    }
}

/// At most so many, however many there are: each may be large, and all are held. One that is broken stands in no other's
/// way.
async fn find_signatures(
    repository: &mut Repository<'_>,
    digest: &str,
) -> Result<Vec<Signed>, SupplyError> {
    let mut found = Vec::new();
    find_bundles(repository, digest, &mut found).await?;
    find_simple_ones(repository, digest, &mut found).await?;
    Ok(found)
}

async fn find_bundles(
    repository: &mut Repository<'_>,
    digest: &str,
    found: &mut Vec<Signed>,
) -> Result<(), SupplyError> {
    let referrers = repository.referrers(digest).await?;
    // A registry that tells no types is asked for each.
    let may_sign = |entry: &&Descriptor| match entry.artifact_type.as_deref() {
        Some(kind) => kind.starts_with(BUNDLE),
        None => true,
    };
    for entry in referrers.manifests.iter().filter(may_sign).take(MOST_SIGNATURES) {
        let known = unless_broken(repository.manifest(&entry.digest).await)?;
        let Some(Document::Manifest(manifest)) = known.map(|known| known.document) else {
            continue;
        };
        for layer in manifest.layers.iter().filter(|layer| layer.media_type.starts_with(BUNDLE)) {
            if found.len() >= MOST_SIGNATURES {
                return Ok(());
            }
            let text = unless_broken(repository.blob(layer, MOST_BYTES).await)?;
            found.extend(text.and_then(|text| Bundle::parse(&text)).map(Signed::Bundle));
        }
    }
    Ok(())
}

async fn find_simple_ones(
    repository: &mut Repository<'_>,
    digest: &str,
    found: &mut Vec<Signed>,
) -> Result<(), SupplyError> {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let known = unless_broken(repository.manifest(&tag).await)?;
    let Some(Document::Manifest(manifest)) = known.map(|known| known.document) else {
        return Ok(());
    };
    for layer in manifest.layers.iter().take(MOST_SIGNATURES) {
        let Some(signature) = layer.annotations.get(SIMPLE_SIGNATURE) else { continue };
        let payload = unless_broken(repository.blob(layer, MOST_BYTES).await)?;
        let simple = payload.and_then(|payload| SimpleSigning::new(payload, signature));
        found.extend(simple.map(Signed::Simple));
    }
    Ok(())
}

/// What is not there, too large or not what it says is no signature. Only where nobody answers it is not known.
fn unless_broken<T>(result: Result<T, SupplyError>) -> Result<Option<T>, SupplyError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error @ (SupplyError::Unreachable(_) | SupplyError::Unauthorized { .. })) => Err(error),
        Err(_) => Ok(None),
    }
}

/// A signature of version 2: a payload that names the image, and a signature over it.
#[derive(Debug)]
pub struct SimpleSigning {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl SimpleSigning {
    /// Of a layer and its annotation, in base64; `None` where that is none.
    pub fn new(payload: Vec<u8>, signature: &str) -> Option<Self> {
        Some(SimpleSigning { payload, signature: STANDARD.decode(signature.trim()).ok()? })
    }

    /// Whether a key says that this is the image.
    ///
    /// # Errors
    /// Why it does not.
    pub fn names(&self, digest: &str, key: &PublicKey) -> Result<(), &'static str> {
        #[derive(Deserialize)]
        struct Payload {
            critical: Critical,
        }
        #[derive(Deserialize)]
        struct Critical {
            image: Named,
            #[serde(rename = "type")]
            kind: String,
        }
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "docker-manifest-digest")]
            digest: String,
        }
        key.verify(&self.payload, &self.signature).map_err(|_| "it is by another key")?;
        let payload: Payload =
            serde_json::from_slice(&self.payload).map_err(|_| "its payload names no image")?;
        if payload.critical.kind != SIGNED_SIMPLY {
            return Err("its payload is no signature of an image");
        }
        (payload.critical.image.digest == digest).then_some(()).ok_or("it is for another image")
    }
}

/// A bundle of version 3: an envelope (DSSE) around a statement (in-toto) that names the image.
#[derive(Debug)]
pub struct Bundle {
    kind: String,
    payload: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

impl Bundle {
    /// Reads a bundle; `None` where it holds no envelope.
    pub fn parse(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            dsse_envelope: Envelope,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            payload: String,
            payload_type: String,
            signatures: Vec<Signature>,
        }
        #[derive(Deserialize)]
        struct Signature {
            sig: String,
        }
        let written: Written = serde_json::from_slice(text).ok()?;
        let envelope = written.dsse_envelope;
        let signatures = envelope.signatures.iter().take(MOST_SIGNATURES);
        Some(Bundle {
            kind: envelope.payload_type,
            payload: STANDARD.decode(envelope.payload).ok()?,
            signatures: signatures.filter_map(|each| STANDARD.decode(&each.sig).ok()).collect(),
        })
    }

    /// Whether a key says that this is the image.
    ///
    /// # Errors
    /// Why it does not.
    pub fn names(&self, digest: &str, key: &PublicKey) -> Result<(), &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Statement {
            subject: Vec<Subject>,
            predicate_type: String,
        }
        #[derive(Deserialize)]
        struct Subject {
            digest: Digest,
        }
        #[derive(Deserialize)]
        struct Digest {
            sha256: Option<String>,
        }
        let signed = pre_authentication_encoding(&self.kind, &self.payload);
        if !self.signatures.iter().any(|signature| key.verify(&signed, signature).is_ok()) {
            return Err("it is by another key");
        }
        if self.kind != STATEMENT {
            return Err("its payload is no statement");
        }
        let statement: Statement =
            serde_json::from_slice(&self.payload).map_err(|_| "its statement names no image")?;
        if statement.predicate_type != SIGNED {
            return Err("it states something else of the image than that it is signed");
        }
        let wanted = digest.strip_prefix("sha256:");
        let named =
            |subject: &Subject| wanted.is_some() && subject.digest.sha256.as_deref() == wanted;
        statement.subject.iter().any(named).then_some(()).ok_or("it is for another image")
    }
}

/// What an envelope's signature is made over.
pub(crate) fn pre_authentication_encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use proptest::prelude::*;

    use super::*;

    fn pair() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = PublicKey::from_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        (pair, key)
    }

    fn digest(of: char) -> String {
        format!("sha256:{}", of.to_string().repeat(64))
    }

    fn sign(pair: &EcdsaKeyPair, text: &[u8]) -> String {
        STANDARD.encode(pair.sign(&SystemRandom::new(), text).unwrap())
    }

    fn bundle(pair: &EcdsaKeyPair, kind: &str, payload: &str) -> String {
        let text = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let (payload, sig) = (STANDARD.encode(payload), sign(pair, text.as_bytes()));
        format!(
            r#"{{"mediaType":"{BUNDLE}.v0.3+json","dsseEnvelope":{{"payload":"{payload}","payloadType":"{kind}","signatures":[{{"sig":"{sig}"}}]}}}}"#
        )
    }

    #[test]
    fn a_bundle_vouches_for_its_image_by_its_key_alone() {
        let (signer, key) = pair();
        let bare = "a".repeat(64);
        let statement = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{bare}"}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1"}}"#
        );
        let read =
            |kind, payload: &str| Bundle::parse(bundle(&signer, kind, payload).as_bytes()).unwrap();
        let good = read(STATEMENT, &statement);
        assert_eq!(good.names(&digest('a'), &key), Ok(()));
        assert_eq!(good.names(&digest('b'), &key), Err("it is for another image"));
        assert_eq!(good.names(&digest('a'), &pair().1), Err("it is by another key"));
        let other = read("text/plain", &statement);
        assert_eq!(other.names(&digest('a'), &key), Err("its payload is no statement"));
        let empty = read(STATEMENT, "{}");
        assert_eq!(empty.names(&digest('a'), &key), Err("its statement names no image"));
        let nobody = read(STATEMENT, &statement.replace(&format!(r#""sha256":"{bare}""#), ""));
        assert_eq!(nobody.names("", &key), Err("it is for another image"));
        let attested = read(STATEMENT, &statement.replace(SIGNED, "https://spdx.dev/Document"));
        let something_else = "it states something else of the image than that it is signed";
        assert_eq!(attested.names(&digest('a'), &key), Err(something_else));
    }

    #[test]
    fn a_simple_signature_vouches_for_its_image_by_its_key_alone() {
        let (signer, key) = pair();
        let payload = |digest: &str| {
            format!(r#"{{"critical":{{"identity":{{"docker-reference":"r/a"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#).into_bytes()
        };
        let text = payload(&digest('a'));
        let signature = sign(&signer, &text);
        let good = SimpleSigning::new(text, &signature).unwrap();
        assert_eq!(good.names(&digest('a'), &key), Ok(()));
        assert_eq!(good.names(&digest('b'), &key), Err("it is for another image"));
        assert_eq!(good.names(&digest('a'), &pair().1), Err("it is by another key"));
        let text = String::from_utf8(payload(&digest('a'))).unwrap();
        let text = text.replace(SIGNED_SIMPLY, "atomic container signature").into_bytes();
        let signature_of_other = sign(&signer, &text);
        let other = SimpleSigning::new(text, &signature_of_other).unwrap();
        assert_eq!(other.names(&digest('a'), &key), Err("its payload is no signature of an image"));
        let swapped = SimpleSigning::new(payload(&digest('b')), &signature).unwrap();
        assert_eq!(swapped.names(&digest('b'), &key), Err("it is by another key"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(Bundle::parse(&bytes).is_none());
            let (_, key) = pair();
            if let Some(simple) = SimpleSigning::new(bytes, "AAAA") {
                prop_assert!(simple.names(&digest('a'), &key).is_err());
            }
        }
    }
}
