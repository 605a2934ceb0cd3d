//! What a registry takes: blobs in two steps, manifests, and the list of what refers to them.

use serde_json::{Value, json};

use crate::certificates::sha256;
use crate::https_server::{HttpsAnswer, HttpsRequest};

/// What a registry makes of what is pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uploads {
    /// It keeps it.
    #[default]
    Kept,
    /// It says that whoever asks may not.
    Denied,
    /// It keeps something else of each manifest.
    Spoilt,
}

/// Whether it lists what refers to a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// By its own list.
    #[default]
    Listed,
    /// By a tag alone.
    Tagged,
}

/// What came of one request.
pub(crate) struct Taken {
    pub(crate) answer: HttpsAnswer,
    /// What is there from now on.
    pub(crate) kept: Vec<(String, HttpsAnswer)>,
    /// What refers to something from now on: in which list, as what.
    pub(crate) listed: Vec<(String, Value)>,
}

/// What comes of a POST or PUT to this path below `/v2/`.
pub(crate) fn taken(
    uploads: Uploads,
    referrers: Referrers,
    path: &str,
    request: &HttpsRequest,
) -> Taken {
    let only = |answer| Taken { answer, kept: Vec::new(), listed: Vec::new() };
    if uploads == Uploads::Denied {
        let body = json!({"errors": [{"code": "DENIED", "message": "requested access is denied"}]});
        return only(HttpsAnswer::status(403).body(body.to_string()));
    }
    if let Some(repository) = path.strip_suffix("/blobs/uploads/") {
        let place = format!("/v2/{repository}/blobs/uploads/1?state=begun");
        return only(HttpsAnswer::status(202).header("location", &place));
    }
    let digest = image_digest(&request.body);
    if let Some((repository, _)) = path.split_once("/blobs/uploads/") {
        if !request.path.ends_with(&format!("?state=begun&digest={digest}")) {
            return only(HttpsAnswer::status(400));
        }
        let blob = (format!("{repository}/blobs/{digest}"), HttpsAnswer::ok(&*request.body));
        return Taken { kept: vec![blob], ..only(HttpsAnswer::status(201)) };
    }
    let Some((repository, version)) = path.split_once("/manifests/") else {
        return only(HttpsAnswer::status(404));
    };
    if uploads == Uploads::Spoilt {
        let other = image_digest(b"other");
        return only(HttpsAnswer::status(201).header("docker-content-digest", &other));
    }
    manifest(referrers, (repository, version), &digest, request)
}

fn manifest(
    referrers: Referrers,
    (repository, version): (&str, &str),
    digest: &str,
    request: &HttpsRequest,
) -> Taken {
    let written: Value = serde_json::from_slice(&request.body).unwrap();
    let kept = HttpsAnswer::ok(&*request.body).header("docker-content-digest", digest);
    let kept = [version, digest]
        .map(|version| (format!("{repository}/manifests/{version}"), kept.clone()))
        .to_vec();
    let answer = HttpsAnswer::status(201).header("docker-content-digest", digest);
    let subject = written["subject"]["digest"].as_str().filter(|_| referrers == Referrers::Listed);
    let Some(subject) = subject else { return Taken { answer, kept, listed: Vec::new() } };
    let entry = json!({
        "mediaType": written["mediaType"],
        "digest": digest,
        "size": request.body.len(),
        "artifactType": written["artifactType"],
    });
    Taken {
        answer: answer.header("oci-subject", subject),
        kept,
        listed: vec![(format!("{repository}/referrers/{subject}"), entry)],
    }
}

/// `sha256:` and the digest in hex.
pub fn image_digest(bytes: &[u8]) -> String {
    let hex: String = sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
