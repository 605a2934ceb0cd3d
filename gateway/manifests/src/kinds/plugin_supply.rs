//! Where a plugin's module comes from: `url`, `sha256`, `imagePullPolicy`, `imagePullSecret`, `verificationKey`.

use std::path::Path;
use std::sync::Arc;

use portcullis_crypto::PublicKey;
use portcullis_model::{ImageReference, ModuleUrl, Origin, PluginModule, PluginSupply, PullPolicy};

use crate::reader::{Cursor, Fields};
use crate::scalars::choice;

/// What the fields say.
pub(crate) struct WrittenSupply {
    /// Where the url is written.
    pub(crate) url_origin: Option<Origin>,
    pub(crate) module: Option<PluginModule>,
    pub(crate) sha256: Option<String>,
    pub(crate) supply: PluginSupply,
    pub(crate) pull_secret: Option<PullSecret>,
}

/// A Secret that a plugin names, of its own namespace.
#[derive(Clone, Debug)]
pub(crate) struct PullSecret {
    pub(crate) name: Arc<str>,
    pub(crate) field: String,
    pub(crate) origin: Origin,
}

const POLICIES: &[(&str, Option<PullPolicy>)] = &[
    ("UNSPECIFIED_POLICY", None),
    ("IfNotPresent", Some(PullPolicy::IfNotPresent)),
    ("Always", Some(PullPolicy::Always)),
];

/// Reads all of it; a relative url begins at `directory`.
pub(crate) fn read_supply(spec: &Fields<'_>, directory: &Path) -> WrittenSupply {
    let url = spec.required("url");
    let sha256 = spec.field("sha256").and_then(|field| read_digest(&field));
    let module = url.as_ref().and_then(|field| read_url(field, directory));
    if let (Some(field), Some(PluginModule::Web(address)), None) = (&url, &module, &sha256)
        && !address.is_https()
    {
        let help = "write https://, or the module's digest in `sha256`";
        field.refuse("http:// lets anyone on the way replace the module", help);
    }
    let written = spec.field("imagePullPolicy");
    let policy = written.and_then(|field| choice(&field, POLICIES).flatten());
    let supply = PluginSupply {
        pull: pull_policy(policy, module.as_ref(), sha256.as_deref()),
        verification_key: read_key(spec, module.as_ref()),
        ..PluginSupply::default()
    };
    WrittenSupply {
        url_origin: url.as_ref().map(Cursor::origin),
        module,
        sha256,
        supply,
        pull_secret: read_pull_secret(spec),
    }
}

/// As Istio has it: an image named by `latest` is pulled each time unless something else is written; what a digest
/// names never changes.
fn pull_policy(
    written: Option<PullPolicy>,
    module: Option<&PluginModule>,
    sha256: Option<&str>,
) -> PullPolicy {
    match module {
        _ if sha256.is_some() => PullPolicy::IfNotPresent,
        Some(PluginModule::Image(image)) if image.digest.is_some() => PullPolicy::IfNotPresent,
        Some(PluginModule::Image(image)) if written.is_none() && image.is_latest() => {
            PullPolicy::Always
        }
        _ => written.unwrap_or_default(),
    }
}

fn read_pull_secret(spec: &Fields<'_>) -> Option<PullSecret> {
    let field = spec.field("imagePullSecret")?;
    let name = field.text().filter(|name| !name.is_empty())?;
    Some(PullSecret { name: name.into(), field: field.path(), origin: field.origin() })
}

fn read_key(spec: &Fields<'_>, module: Option<&PluginModule>) -> Option<Arc<PublicKey>> {
    let field = spec.field("verificationKey")?;
    let text = field.text().filter(|text| !text.is_empty())?;
    if !matches!(module, Some(PluginModule::Image(_)) | None) {
        let help = "push the module to a registry and sign it there with cosign, or write its digest in `sha256`";
        field.refuse("only modules of OCI registries have signatures", help);
        return None;
    }
    match PublicKey::from_pem(text.as_bytes()) {
        Ok(key) => Some(Arc::new(key)),
        Err(_) => {
            let help = "write the PEM of `cosign.pub`: an ECDSA, Ed25519 or RSA key";
            field.refuse("this is no public key", help);
            None
        }
    }
}

fn read_digest(field: &Cursor<'_>) -> Option<String> {
    let text = field.text()?;
    let digest = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    if digest.is_empty() {
        return None;
    }
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        field.refuse("this is no SHA-256", "write its 64 hexadecimal digits");
        return None;
    }
    Some(digest)
}

const URL_HELP: &str = "write `oci://REGISTRY/REPOSITORY:TAG`, `https://…`, `file:///absolute/path.wasm`, \
                        `./path.wasm` beside the manifest, or `builtin:NAME`";

fn read_url(field: &Cursor<'_>, directory: &Path) -> Option<PluginModule> {
    let text = field.text()?;
    if let Some(name) = text.strip_prefix("builtin:") {
        return Some(PluginModule::Builtin(name.to_owned()));
    }
    if let Some(path) = text.strip_prefix("file://") {
        if !path.starts_with('/') {
            field.refuse(format!("`{text}` has no absolute path"), URL_HELP);
            return None;
        }
        return Some(PluginModule::File(path.into()));
    }
    if text.starts_with("./") || text.starts_with("../") {
        return Some(PluginModule::File(directory.join(text.strip_prefix("./").unwrap_or(text))));
    }
    let read = match text.split_once("://") {
        Some(("https" | "http", _)) => ModuleUrl::parse(text).map(PluginModule::Web),
        Some(("oci", image)) => ImageReference::parse(image).map(PluginModule::Image),
        Some(_) => Err("nothing is fetched by this scheme"),
        // What has no scheme is an image, as in Istio, but a bare path is not meant as one.
        None if text.contains('/') && !text.starts_with('/') => {
            ImageReference::parse(text).map(PluginModule::Image)
        }
        None => Err("it has no scheme"),
    };
    match read {
        Ok(module) => Some(module),
        Err(why) => {
            let message = format!("`{text}` is no url of a module: {why}");
            field.refuse(message, URL_HELP);
            None
        }
    }
}
