//! Signatures of images by keys, as cosign makes them: bundles that refer to the image (version 3), and the tag with
//! the ending `.sig` (version 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_crypto::PublicKey;
use serde::Deserialize;

use crate::SupplyError;
use crate::manifest::{Descriptor, Document};
use crate::registry::Repository;

/// A signature is small.
const MOST_BYTES: usize = 1 << 20;
/// So many signatures of one image are looked at.
const MOST_SIGNATURES: usize = 32;
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const SIMPLE_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What is signed within an envelope.
const STATEMENT: &str = "application/vnd.in-toto+json";

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
            match keys
                .iter()
                .map(|key| signed.names(digest, key).map(|()| key))
                .find_map(keep(&mut last))
            {
                Some(key) => return Ok(key.clone()),
                None if seen >= MOST_SIGNATURES => break,
                None => {}
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

async fn find_signatures(
    repository: &mut Repository<'_>,
    digest: &str,
) -> Result<Vec<Signed>, SupplyError> {
    let mut found = Vec::new();
    let referrers = repository.referrers(digest).await?;
    // A registry that tells no types is asked for each.
    let may_sign = |entry: &&Descriptor| match entry.artifact_type.as_deref() {
        Some(kind) => kind.starts_with(BUNDLE),
        None => true,
    };
    for entry in referrers.manifests.iter().filter(may_sign).take(MOST_SIGNATURES) {
        let Document::Manifest(manifest) = repository.manifest(&entry.digest).await?.document
        else {
            continue;
        };
        for layer in manifest.layers.iter().filter(|layer| layer.media_type.starts_with(BUNDLE)) {
            let text = repository.blob(layer, MOST_BYTES).await?;
            found.extend(Bundle::parse(&text).map(Signed::Bundle));
        }
    }
    let tag = format!("{}.sig", digest.replace(':', "-"));
    match repository.manifest(&tag).await.map(|known| known.document) {
        Ok(Document::Manifest(manifest)) => {
            for layer in manifest.layers.iter().take(MOST_SIGNATURES) {
                let Some(signature) = layer.annotations.get(SIMPLE_SIGNATURE) else { continue };
                let payload = repository.blob(layer, MOST_BYTES).await?;
                found.extend(SimpleSigning::new(payload, signature).map(Signed::Simple));
            }
        }
        Ok(Document::Index(_)) => {}
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error),
    }
    Ok(found)
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
        }
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "docker-manifest-digest")]
            digest: String,
        }
        key.verify(&self.payload, &self.signature).map_err(|_| "it is by another key")?;
        let payload: Payload =
            serde_json::from_slice(&self.payload).map_err(|_| "its payload names no image")?;
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
        struct Statement {
            subject: Vec<Subject>,
        }
        #[derive(Deserialize)]
        struct Subject {
            digest: Digest,
        }
        #[derive(Deserialize)]
        struct Digest {
            sha256: Option<String>,
        }
        let signed = self.pre_authentication_encoding();
        if !self.signatures.iter().any(|signature| key.verify(&signed, signature).is_ok()) {
            return Err("it is by another key");
        }
        if self.kind != STATEMENT {
            return Err("its payload is no statement");
        }
        let statement: Statement =
            serde_json::from_slice(&self.payload).map_err(|_| "its statement names no image")?;
        let wanted = digest.strip_prefix("sha256:");
        let named =
            |subject: &Subject| wanted.is_some() && subject.digest.sha256.as_deref() == wanted;
        statement.subject.iter().any(named).then_some(()).ok_or("it is for another image")
    }

    /// What an envelope's signature is made over.
    fn pre_authentication_encoding(&self) -> Vec<u8> {
        let head = format!("DSSEv1 {} {} {} ", self.kind.len(), self.kind, self.payload.len());
        [head.as_bytes(), &self.payload].concat()
    }
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
        let nobody = read(STATEMENT, r#"{"subject":[{"digest":{}}]}"#);
        assert_eq!(nobody.names("", &key), Err("it is for another image"));
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
