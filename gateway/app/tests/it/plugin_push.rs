//! `portcullis plugin push`: what is pushed and signed is pulled, verified and served; what is not taken says why.

use std::process::{Output, Stdio};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_testkit::{ImageRegistry, Login, Referrers, Uploads, image_digest};
use serde_json::Value;
use tokio::process::Command;

use crate::gateway::binary;
use crate::plugin_supply::{Scene, marking};

/// As `openssl genpkey -algorithm ed25519` writes it.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn new_key() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
}

/// An author's folder, with a registry beside it.
struct Author {
    scene: Scene,
    registry: ImageRegistry,
}

impl Author {
    async fn new() -> Self {
        let scene = Scene::new();
        let registry = scene.registry().await;
        registry.give_tokens_at(&registry.authority());
        Author { scene, registry }
    }

    fn module(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.scene.directory.path().join(name), bytes).unwrap();
    }

    /// `plugin push`, as somebody who has logged in nowhere unless `environment` says so.
    async fn push(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let ca = self.scene.file("ca.pem", &self.scene.authority.issue(&["localhost"]).ca_pem);
        let mut command = Command::new(binary());
        command.args(["plugin", "push"]).args(arguments).args(["--registry-ca", &ca]);
        command.current_dir(self.scene.directory.path()).stdin(Stdio::null());
        for name in ["PORTCULLIS_REGISTRY_USER", "PORTCULLIS_REGISTRY_PASSWORD"] {
            command.env_remove(name);
        }
        command.env("DOCKER_CONFIG", self.scene.directory.path());
        command.envs(environment.iter().copied()).output().await.unwrap()
    }

    async fn pushed(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.push(arguments, environment).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn refused(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.push(arguments, environment).await;
        assert_eq!(output.stdout, b"");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test]
async fn what_is_pushed_and_signed_is_pulled_verified_and_served() {
    let author = Author::new().await;
    let mut supplied = author.scene.start(&[], &[]).await;
    for (tag, key, referrers) in [
        ("one", new_key(), Referrers::Listed),
        ("two", ED25519.to_owned(), Referrers::Tagged),
        ("three", new_key(), Referrers::Tagged),
    ] {
        author.registry.list_referrers(referrers);
        author.module("mark.wasm", &marking(tag));
        author.scene.file("plugin.key", &key);
        let url = author.registry.url(&format!("team/mark:{tag}"));
        let manifest = author.pushed(&["mark.wasm", &url, "--key", "plugin.key"], &[]).await;
        assert!(manifest.contains("verificationKey: |\n    -----BEGIN PUBLIC KEY-----"));
        supplied.apply(&[manifest]).await;
        supplied.wait_for_mark(tag).await;
    }
}

#[tokio::test]
async fn an_image_that_another_key_signed_is_refused() {
    let author = Author::new().await;
    author.module("mark.wasm", &marking("strange"));
    author.scene.file("own.key", &new_key());
    author.scene.file("strange.key", &new_key());
    let url = |tag: &str| author.registry.url(&format!("p:{tag}"));
    let own = author.pushed(&["mark.wasm", &url("own"), "--key", "own.key"], &[]).await;
    author.module("mark.wasm", &marking("strange, and other"));
    let strange = author.pushed(&["mark.wasm", &url("other"), "--key", "strange.key"], &[]).await;
    let (_, demanded) = own.split_once("  verificationKey").unwrap();
    let (image, _) = strange.split_once("  verificationKey").unwrap();
    let crossed = format!("{image}  verificationKey{demanded}");
    let mut supplied = author.scene.start(&[crossed], &[]).await;
    let problem = supplied.gateway.logged("it is by another key").await;
    assert!(problem.contains("PC0409"), "{problem}");
    assert_eq!(supplied.mark().await, "503");
}

#[tokio::test]
async fn an_image_is_laid_out_as_every_host_takes_it_and_nothing_is_sent_twice() {
    let author = Author::new().await;
    let module = marking("laid");
    author.module("my_Plugin.wasm", &module);
    let url = author.registry.url("team/laid:1");
    let first = author.pushed(&["my_Plugin.wasm", &url], &[]).await;
    let text = author.registry.kept("team/laid/manifests/1").unwrap();
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.module.wasm.config.v1+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2, "Istio takes two");
    let kind = "application/vnd.module.wasm.content.layer.v1+wasm";
    assert_eq!(layers[0]["mediaType"], kind);
    assert_eq!(layers[0]["digest"], *image_digest(&module));
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "my-plugin");
    assert!(manifest["annotations"]["org.opencontainers.image.created"].is_string());
    let digest = image_digest(&text);
    assert!(first.contains(&format!("/team/laid@{digest}\n")), "{first}");
    assert!(first.contains(&format!("  sha256: {}\n", digest.trim_start_matches("sha256:"))));

    let sent = |seen: &[portcullis_testkit::HttpsRequest]| {
        seen.iter().filter(|request| request.path.contains("/blobs/uploads/")).count()
    };
    let before = sent(&author.registry.seen());
    assert_eq!(before, 4, "two blobs of two steps each");
    let second = author.pushed(&["my_Plugin.wasm", &url], &[]).await;
    assert_eq!((sent(&author.registry.seen()), second), (before, first));
}

#[tokio::test]
async fn who_pushes_is_told_as_docker_login_left_it_or_by_the_environment() {
    for login in [Login::Basic, Login::Bearer] {
        let author = Author::new().await;
        author.registry.ask_for(login, "me", "pass:word");
        author.module("p.wasm", &marking("p"));
        let url = author.registry.url("p:1");
        let refusal = author.refused(&["p.wasm", &url], &[]).await;
        let host = author.registry.authority();
        assert!(
            refusal
                .contains(&format!("401 (nobody is logged in): log in with `docker login {host}`")),
            "{refusal}"
        );
        let environment =
            [("PORTCULLIS_REGISTRY_USER", "me"), ("PORTCULLIS_REGISTRY_PASSWORD", "wrong")];
        let refusal = author.refused(&["p.wasm", &url], &environment).await;
        assert!(refusal.contains("401 (as `me`)"), "{refusal}");
        assert!(!refusal.contains("wrong"), "{refusal}");
        let config =
            format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, STANDARD.encode("me:pass:word"));
        author.scene.file("config.json", &config);
        let manifest = author.pushed(&["p.wasm", &url], &[]).await;
        assert!(manifest.contains("# imagePullSecret"), "{manifest}");
    }
}

#[tokio::test]
async fn what_is_not_pushed_says_what_to_do() {
    let author = Author::new().await;
    let url = author.registry.url("p:1");
    author.module("p.wasm", &marking("p"));
    author.module("bad.wasm", b"\x7fELF");
    let encrypted = pem("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}");
    author.scene.file("cosign.key", &encrypted);
    for (arguments, why) in [
        (&["bad.wasm", &*url][..], "the gateway would refuse it"),
        (&["missing.wasm", &url], "missing.wasm"),
        (&["p.wasm", "r.example/p:1"], "it does not begin with oci://"),
        (&["p.wasm", &url, "--key", "cosign.key"], "openssl genpkey"),
        (&["p.wasm", "oci://localhost:1/p:1"], "is localhost:1 the right host and port, and up?"),
    ] {
        let refusal = author.refused(arguments, &[]).await;
        assert!(refusal.contains(why), "{refusal}");
    }
    assert_eq!(author.registry.seen(), [], "nothing was sent");
    author.registry.on_push(Uploads::Denied);
    let refusal = author.refused(&["p.wasm", &url], &[]).await;
    assert!(refusal.contains("403: DENIED requested access is denied"), "{refusal}");
    assert!(refusal.contains("needs the right to write to p"), "{refusal}");
    author.registry.on_push(Uploads::Spoilt);
    let refusal = author.refused(&["p.wasm", &url], &[]).await;
    assert!(refusal.contains("what came there is not what was sent"), "{refusal}");
}
