//! Signatures of plugins: who vouches for which image, and what becomes of one for which nobody does.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_testkit::{HttpsAnswer, HttpsServer, ImageRegistry, Layout, Referrers};

use crate::plugin_supply::{Scene, marking, plugin};

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key, and how it signs.
struct Signer {
    pem: String,
    sign: Sign,
}

impl Signer {
    fn new(der: &[u8], sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        let text = STANDARD.encode(der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        Signer { pem, sign: Box::new(sign) }
    }

    fn ecdsa() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Self::new(&der, move |text| {
            pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
        })
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Self::new(&der, move |text| pair.sign(text).as_ref().to_vec())
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Self::new(&der, move |text| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
            signature
        })
    }

    /// The field of a plugin object that demands it.
    fn demanded(&self) -> String {
        let lines: String = self.pem.lines().map(|line| format!("  {line}\n")).collect();
        format!("verificationKey: |\n{lines}")
    }
}

fn pushed(registry: &ImageRegistry, tag: &str) -> String {
    registry.push("p", tag, &marking(tag), Layout::Artifact)
}

#[tokio::test]
async fn each_kind_of_key_and_signature_vouches_for_its_image() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let signers = [
        ("ecdsa-2", Signer::ecdsa()),
        ("ed25519-3", Signer::ed25519()),
        ("rsa-2", Signer::rsa()),
        ("ecdsa-3", Signer::ecdsa()),
    ];
    let mut supplied = scene.start(&[], &[]).await;
    for (tag, signer) in &signers {
        let digest = pushed(&registry, tag);
        match *tag {
            "ed25519-3" => {
                registry.sign_by_bundle("p", &digest, Referrers::Listed, &signer.sign);
            }
            "ecdsa-3" => registry.sign_by_bundle("p", &digest, Referrers::Tagged, &signer.sign),
            _ => registry.sign_simply("p", &digest, &signer.sign),
        }
        let url = registry.url(&format!("p:{tag}"));
        supplied.apply(&[plugin(&url, &signer.demanded())]).await;
        supplied.wait_for_mark(tag).await;
    }
}

#[tokio::test]
async fn what_nobody_or_the_wrong_one_signed_is_refused() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let (signer, stranger) = (Signer::ecdsa(), Signer::ecdsa());
    let good = pushed(&registry, "good");
    registry.sign_simply("p", &good, &signer.sign);
    let url = |tag: &str| registry.url(&format!("p:{tag}"));
    let mut supplied = scene.start(&[plugin(&url("good"), &signer.demanded())], &[]).await;
    assert_eq!(supplied.mark().await, "good");

    pushed(&registry, "unsigned");
    let strange = pushed(&registry, "strange");
    registry.sign_simply("p", &strange, &stranger.sign);
    let bundled = pushed(&registry, "bundled");
    registry.sign_by_bundle("p", &bundled, Referrers::Listed, &stranger.sign);
    let swapped = pushed(&registry, "swapped");
    registry.sign_simply_for("p", (&swapped, &good), &signer.sign);
    for (tag, why) in [
        ("unsigned", "is not signed"),
        ("strange", "it is by another key"),
        ("bundled", "it is by another key"),
        ("swapped", "it is for another image"),
    ] {
        supplied.apply(&[plugin(&url(tag), &signer.demanded())]).await;
        let of_this_one = format!("{why} (oci://{}/p:{tag})", registry.authority());
        let problem = supplied.gateway.logged(&of_this_one).await;
        assert!(problem.contains("PC0409"), "{problem}");
        assert!(problem.contains("the last good version serves on"), "{problem}");
        assert_eq!(supplied.mark().await, "good");
    }
    // Not even their layers are pulled.
    let pulled = registry.seen().iter().filter(|request| request.path.contains("/blobs/")).count();
    assert!(pulled <= 2 + 1 + 1 + 1, "{:#?}", registry.seen());
}

#[tokio::test]
async fn the_operators_key_stands_beside_that_of_the_object() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let (operator, author) = (Signer::ecdsa(), Signer::ed25519());
    let digest = pushed(&registry, "p");
    registry.sign_by_bundle("p", &digest, Referrers::Listed, &author.sign);
    let key = scene.file("operator.pem", &operator.pem);
    let object = [plugin(&registry.url("p:p"), &author.demanded())];
    let mut supplied = scene.start(&object, &["--plugin-key", &key]).await;
    assert!(supplied.gateway.logged("PC0409").await.contains("it is by another key"));
    assert_eq!(supplied.mark().await, "503");
    registry.sign_simply("p", &digest, &operator.sign);
    supplied.wait_for_mark("p").await;
}

#[tokio::test]
async fn where_signatures_are_required_nothing_comes_without() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let module = marking("web");
    let server = HttpsServer::start(&scene.authority.issue(&["localhost"]), move |_| {
        HttpsAnswer::ok(module.clone())
    })
    .await;
    let signer = Signer::ecdsa();
    let digest = pushed(&registry, "p");
    registry.sign_simply("p", &digest, &signer.sign);
    let required = ["--require-signed-plugins"];
    let image = registry.url("p:p");
    let mut supplied = scene.start(&[plugin(&image, "")], &required).await;
    assert!(supplied.gateway.logged("PC0409").await.contains("there is no `verificationKey`"));
    supplied.apply(&[plugin(&format!("https://{}/p", server.authority()), "")]).await;
    assert!(supplied.gateway.logged("only images").await.contains("PC0409"));
    assert_eq!((supplied.mark().await.as_str(), server.seen().len()), ("503", 0));
    supplied.apply(&[plugin(&image, &signer.demanded())]).await;
    supplied.wait_for_mark("p").await;
}

#[tokio::test]
async fn what_is_kept_serves_only_those_whose_key_vouched_for_it() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let (signer, stranger) = (Signer::ecdsa(), Signer::ecdsa());
    let digest = pushed(&registry, "p");
    registry.sign_simply("p", &digest, &signer.sign);
    let state = scene.state_dir();
    let url = registry.url("p:p");
    let arguments = ["--state-dir", state.as_str()];
    let first = scene.start(&[plugin(&url, &signer.demanded())], &arguments).await;
    assert_eq!(first.mark().await, "p");
    drop(first);
    let asked = registry.seen().len();
    let again = scene.start(&[plugin(&url, &signer.demanded())], &arguments).await;
    assert_eq!((again.mark().await.as_str(), registry.seen().len()), ("p", asked));
    drop(again);
    let mut other = scene.start(&[plugin(&url, &stranger.demanded())], &arguments).await;
    other.gateway.logged("PC0409").await;
    assert_eq!(other.mark().await, "503");
}
