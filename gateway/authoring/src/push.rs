//! `plugin push`: a module to a registry, signed, and the manifest that has it served.

use std::path::{Path, PathBuf};

use portcullis_crypto::{SigningKey, SigningKeyError};
use portcullis_model::ImageReference;
use portcullis_supply::{Encryption, PushRegistry, PushedImage, system_bundle};
use portcullis_wasm::Engine;

use crate::author_error::AuthorError;
use crate::image_annotations::{annotations, plugin_name};
use crate::inspection::inspect;
use crate::progress::Progress;
use crate::push_error::explained;
use crate::pushed_manifest::Published;
use crate::registry_login::find_login;

/// What is pushed where.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// The module.
    pub module: PathBuf,
    /// `oci://REGISTRY/REPOSITORY:TAG`
    pub destination: String,
    /// The private key that signs, in PEM.
    pub key: Option<PathBuf>,
    /// Who vouches for the registry, in PEM, besides those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// How the registry is spoken to.
    pub encryption: Encryption,
}

/// Pushes a module, and gives the manifest to apply.
///
/// # Errors
/// The gateway would refuse the module, the key signs nothing, or the registry does not take it: says what to do.
pub async fn push_module(
    settings: &PushSettings,
    engine: &Engine,
    progress: &Progress,
) -> Result<String, AuthorError> {
    let reference = read_destination(&settings.destination, settings.encryption)?;
    let key = settings.key.as_deref().map(read_key).transpose()?;
    progress.say("looking into the module");
    let module = read(&settings.module)?;
    if let Some(why) = inspect(&module, engine).refused {
        let file = settings.module.display();
        return Err(AuthorError::Failure(format!("{file}: the gateway would refuse it: {why}")));
    }
    let login = find_login(&reference.registry)?;
    let known = login.as_ref().map(|login| login.name.clone());
    let mut authorities = system_bundle();
    if let Some(file) = &settings.authorities {
        authorities.push(b'\n');
        authorities.extend(read(file)?);
    }
    let failed = |error| explained(&error, &reference, known.as_deref());
    let registry = PushRegistry::new(&authorities, login, settings.encryption).map_err(&failed)?;
    let image = PushedImage {
        reference: reference.clone(),
        annotations: annotations(&settings.module),
        module: module.into(),
    };
    progress.say(&format!("pushing to {reference}"));
    let say = |step: &str| progress.say(step);
    let digest = registry.push(&image, key.as_ref(), &say).await.map_err(failed)?;
    let published = Published {
        name: plugin_name(&settings.module),
        reference: &reference,
        digest: &digest,
        key: key.as_ref(),
        login: known.as_deref(),
    };
    Ok(published.to_manifest())
}

/// Where to push: a tag of a repository, by HTTPS unless it is on this machine.
fn read_destination(text: &str, encryption: Encryption) -> Result<ImageReference, AuthorError> {
    let usage = |why: &str| {
        let text = text.escape_debug();
        AuthorError::Usage(format!("`{text}`: {why}; write oci://REGISTRY/REPOSITORY:TAG"))
    };
    let bare = text.strip_prefix("oci://").ok_or_else(|| usage("it does not begin with oci://"))?;
    let reference = ImageReference::parse(bare).map_err(usage)?;
    if reference.digest.is_some() {
        return Err(usage("what is pushed gets its digest from the registry"));
    }
    if reference.tag.is_none() {
        return Err(usage("it has no tag"));
    }
    if encryption == Encryption::Loopback && !is_loopback(&reference.registry) {
        return Err(AuthorError::Usage(format!(
            "--insecure is for a registry on this machine (localhost, 127.0.0.1, [::1]), and {} is none; name who vouches for it with --registry-ca FILE",
            reference.registry
        )));
    }
    Ok(reference)
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_key(path: &Path) -> Result<SigningKey, AuthorError> {
    SigningKey::from_pem(&read(path)?).map_err(|error| {
        let make = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plugin.key`; its public half, `openssl pkey -in plugin.key -pubout`, verifies what it signs";
        let what = match error {
            SigningKeyError::Encrypted => {
                "the key is encrypted, as `cosign generate-key-pair` makes them, and only plain ones are read (keep it where CI keeps its secrets)"
            }
            SigningKeyError::NoKey => "there is no `PRIVATE KEY` section in it",
            SigningKeyError::Kind => "its key is neither of ECDSA on P-256 nor of Ed25519",
        };
        AuthorError::Failure(format!("{}: {what}; {make}", path.display()))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorError> {
    std::fs::read(path).map_err(|error| AuthorError::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_tag_of_a_repository() {
        let refused = |text: &str, encryption| {
            let Err(AuthorError::Usage(why)) = read_destination(text, encryption) else { panic!() };
            why
        };
        let digest = format!("oci://r.io/a:1@sha256:{}", "0".repeat(64));
        for (text, why) in [
            ("r.io/a:1", "does not begin with oci://"),
            ("oci://r.io/A:1", "lower-case"),
            ("oci://r.io/a", "no tag"),
            (&digest, "digest from the registry"),
        ] {
            assert!(refused(text, Encryption::Tls).contains(why), "{text}");
        }
        for local in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"] {
            read_destination(&format!("oci://{local}/a:1"), Encryption::Loopback).unwrap();
        }
        for remote in ["r.io", "10.0.0.1:5000", "localhost.example:80"] {
            let why = refused(&format!("oci://{remote}/a:1"), Encryption::Loopback);
            assert!(why.contains("--registry-ca"), "{why}");
        }
    }
}
