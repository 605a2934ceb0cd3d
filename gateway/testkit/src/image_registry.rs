//! A small OCI registry: what a test pushed, with whatever is wrong with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::Certificates;
use crate::https_server::{HttpsAnswer, HttpsRequest, HttpsServer};
use crate::image_uploads::{Referrers, Uploads, image_digest, taken};

/// How a module lies in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Docker's manifest, its last layer an archive.
    Docker,
    /// OCI's manifest, its last layer an archive.
    Archive,
    /// Two layers, one of them the module.
    Artifact,
    /// One layer, the module.
    Bare,
}

/// How the registry wants to be told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// By name and password.
    Basic,
    /// By a token that it gives for them.
    Bearer,
}

/// A registry on a free port.
#[derive(Debug)]
pub struct ImageRegistry {
    server: HttpsServer,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// By path within `/v2/`.
    answers: HashMap<String, HttpsAnswer>,
    login: Option<(Login, String, String)>,
    uploads: Uploads,
    referrers: Referrers,
}

const TOKEN: &str = "let-me-in";

impl ImageRegistry {
    /// Starts an empty one.
    pub async fn start(own: &Certificates) -> Self {
        let held: Arc<Mutex<Held>> = Arc::default();
        let of_server = held.clone();
        let server =
            HttpsServer::start(own, move |request| answer(&mut of_server.lock().unwrap(), request));
        ImageRegistry { server: server.await, held }
    }

    /// `localhost` and its port.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// The url of an image.
    pub fn url(&self, image: &str) -> String {
        format!("oci://{}/{image}", self.authority())
    }

    /// From now on what refers to a manifest is listed so.
    pub fn list_referrers(&self, referrers: Referrers) {
        self.held.lock().unwrap().referrers = referrers;
    }

    /// From now on what is pushed becomes of it.
    pub fn on_push(&self, uploads: Uploads) {
        self.held.lock().unwrap().uploads = uploads;
    }

    /// What a path below `/v2/` gives.
    pub fn kept(&self, path: &str) -> Option<Vec<u8>> {
        let held = self.held.lock().unwrap();
        held.answers.get(path).map(|answer| answer.body.clone())
    }

    /// Each request so far.
    pub fn seen(&self) -> Vec<HttpsRequest> {
        self.server.seen()
    }

    /// From now on only who knows these gets anything.
    pub fn ask_for(&self, login: Login, name: &str, password: &str) {
        self.held.lock().unwrap().login = Some((login, name.to_owned(), password.to_owned()));
    }

    /// Answers so to a path below `/v2/`, whatever was there.
    pub fn put(&self, path: &str, answer: HttpsAnswer) {
        self.held.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// Keeps a layer; its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = image_digest(bytes);
        self.put(&format!("{repository}/blobs/{digest}"), HttpsAnswer::ok(bytes));
        digest
    }

    /// Keeps a manifest under its digest and this tag; its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let digest = image_digest(text.as_bytes());
        for version in [tag, &digest] {
            let answer = HttpsAnswer::ok(text.as_bytes()).header("docker-content-digest", &digest);
            self.put(&format!("{repository}/manifests/{version}"), answer);
        }
        digest
    }

    /// Keeps an image; its digest.
    pub fn push(&self, repository: &str, tag: &str, module: &[u8], layout: Layout) -> String {
        let archive = || gzip(&tar("plugin.wasm", module));
        let layer = |kind: &str, bytes: &[u8]| {
            json!({
                "mediaType": kind,
                "digest": self.put_blob(repository, bytes),
                "size": bytes.len()
            })
        };
        let wasm = "application/vnd.module.wasm.content.layer.v1+wasm";
        let (kind, layers) = match layout {
            Layout::Docker => (
                "application/vnd.docker.distribution.manifest.v2+json",
                vec![layer("application/vnd.docker.image.rootfs.diff.tar.gzip", &archive())],
            ),
            Layout::Archive => (
                "application/vnd.oci.image.manifest.v1+json",
                vec![layer("application/vnd.oci.image.layer.v1.tar+gzip", &archive())],
            ),
            Layout::Artifact => (
                "application/vnd.oci.image.manifest.v1+json",
                vec![
                    layer(wasm, module),
                    layer("application/vnd.module.wasm.runtime.config.v1+json", b"{}"),
                ],
            ),
            Layout::Bare => (
                "application/vnd.oci.image.manifest.v1+json",
                vec![layer("application/wasm", module)],
            ),
        };
        let config = layer("application/vnd.oci.image.config.v1+json", b"{}");
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        self.put_manifest(repository, tag, &manifest)
    }

    /// Signs as cosign's version 2 does: `sign` gives the signature over some bytes.
    pub fn sign_simply(&self, repository: &str, digest: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>) {
        self.sign_simply_for(repository, (digest, digest), sign);
    }

    /// The same for an image, with a payload that names another.
    pub fn sign_simply_for(
        &self,
        repository: &str,
        (digest, named): (&str, &str),
        sign: &dyn Fn(&[u8]) -> Vec<u8>,
    ) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": named},
                "type": "cosign container image signature"
            },
            "optional": null
        })
        .to_string();
        let layer = json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": self.put_blob(repository, payload.as_bytes()),
            "size": payload.len(),
            "annotations": {
                "dev.cosignproject.cosign/signature": STANDARD.encode(sign(payload.as_bytes()))
            }
        });
        let manifest = json!({"schemaVersion": 2, "layers": [layer]});
        let tag = format!("{}.sig", digest.replace(':', "-"));
        self.put_manifest(repository, &tag, &manifest);
    }

    /// Signs as cosign's version 3 does.
    pub fn sign_by_bundle(
        &self,
        repository: &str,
        digest: &str,
        referrers: Referrers,
        sign: &dyn Fn(&[u8]) -> Vec<u8>,
    ) {
        let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let bundle = bundle(digest, kind, sign).to_string();
        let layer = json!({
            "mediaType": kind,
            "digest": self.put_blob(repository, bundle.as_bytes()),
            "size": bundle.len()
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": kind,
            "layers": [layer],
            "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}
        });
        let signature = self.put_manifest(repository, "unnamed", &manifest);
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": signature,
            "size": manifest.to_string().len(),
            "artifactType": kind
        }]});
        match referrers {
            Referrers::Listed => {
                let answer = HttpsAnswer::ok(index.to_string());
                self.put(&format!("{repository}/referrers/{digest}"), answer);
            }
            Referrers::Tagged => {
                self.put_manifest(repository, &digest.replace(':', "-"), &index);
            }
        }
    }
}

/// An envelope around a statement that names the image.
fn bundle(digest: &str, kind: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Value {
    let bare = digest.trim_start_matches("sha256:");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": bare}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1"
    })
    .to_string();
    let payload_kind = "application/vnd.in-toto+json";
    let signed =
        format!("DSSEv1 {} {payload_kind} {} {statement}", payload_kind.len(), statement.len());
    json!({
        "mediaType": kind,
        "verificationMaterial": {"publicKey": {"hint": "test"}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(&statement),
            "payloadType": payload_kind,
            "signatures": [{"sig": STANDARD.encode(sign(signed.as_bytes()))}]
        }
    })
}

fn answer(held: &mut Held, request: &HttpsRequest) -> HttpsAnswer {
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some((login, name, password)) = &held.login {
        let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let knows_basic = request.authorization.as_ref() == Some(&basic);
        let knows_token = request.authorization.as_deref() == Some(&format!("Bearer {TOKEN}"));
        if path == "/token" && knows_basic {
            return HttpsAnswer::ok(json!({"token": TOKEN}).to_string());
        }
        let (knows, challenge) = match login {
            Login::Basic => (knows_basic, "Basic realm=\"registry\"".to_owned()),
            Login::Bearer => (
                knows_token,
                "Bearer realm=\"https://REALM/token\",service=\"test\",scope=\"repository:x:pull\""
                    .to_owned(),
            ),
        };
        if !knows {
            let host = held.answers.get("realm").map(|answer| answer.body.clone());
            let host = String::from_utf8(host.unwrap_or_default()).unwrap();
            let challenge = challenge.replace("REALM", &host);
            return HttpsAnswer::status(401).header("www-authenticate", &challenge);
        }
    }
    let Some(path) = path.strip_prefix("/v2/") else { return HttpsAnswer::status(404) };
    if matches!(request.method.as_str(), "POST" | "PUT") {
        return take(held, path, request);
    }
    held.answers.get(path).cloned().unwrap_or_else(|| HttpsAnswer::status(404))
}

impl ImageRegistry {
    /// Where tokens are to be fetched: host and port.
    pub fn give_tokens_at(&self, authority: &str) {
        self.put("realm", HttpsAnswer::ok(authority));
    }
}

/// What becomes of something that is pushed.
fn take(held: &mut Held, path: &str, request: &HttpsRequest) -> HttpsAnswer {
    let taken = taken(held.uploads, held.referrers, path, request);
    for (path, entry) in taken.listed {
        let list = held.answers.entry(path).or_insert_with(|| {
            HttpsAnswer::ok(json!({"schemaVersion": 2, "manifests": []}).to_string())
        });
        let mut index: Value = serde_json::from_slice(&list.body).unwrap();
        index["manifests"].as_array_mut().unwrap().push(entry);
        list.body = index.to_string().into_bytes();
    }
    held.answers.extend(taken.kept);
    taken.answer
}

/// An archive of one file.
pub fn tar(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut archive = vec![0; 512];
    archive[..name.len()].copy_from_slice(name.as_bytes());
    archive[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
    archive[156] = b'0';
    archive.extend(contents);
    archive.resize(512 + contents.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// Compressed as gzip does.
pub fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    file.extend(miniz_oxide::deflate::compress_to_vec(contents, 6));
    // Nobody looks at the checksum; the length is told modulo 2^32.
    file.extend([0; 4]);
    file.extend(u32::try_from(contents.len()).unwrap().to_le_bytes());
    file
}
