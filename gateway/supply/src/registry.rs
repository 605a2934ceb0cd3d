//! What is asked of an OCI registry, as its distribution specification has it.

use http::Uri;
use http::header::HeaderValue;
use portcullis_crypto::{hex, sha256};
use portcullis_model::{ImageReference, RegistryLogin};

use crate::authorization::authorize;
use crate::challenge::Challenge;
use crate::manifest::{Document, Index};
use crate::origin::NamedBy;
use crate::transport::{Answer, Ask, Transport};
use crate::web::get;
use crate::{Descriptor, SupplyError};

const MOST_MANIFEST_BYTES: usize = 4 << 20;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";
/// Where the images named by `docker.io` are.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// One repository, for one pull: what the registry wants to know of who asks is found out once.
pub(crate) struct Repository<'a> {
    transport: &'a Transport,
    image: &'a ImageReference,
    login: Option<&'a RegistryLogin>,
    authorization: Option<HeaderValue>,
    encryption: Encryption,
}

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// HTTPS
    #[default]
    Tls,
    /// HTTP, for one on this machine.
    Loopback,
}

impl Encryption {
    fn scheme(self) -> &'static str {
        match self {
            Encryption::Tls => "https",
            Encryption::Loopback => "http",
        }
    }
}

/// A manifest or index, and the digest by which it is known.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) document: Document,
    pub(crate) digest: String,
}

impl<'a> Repository<'a> {
    pub(crate) fn new(
        transport: &'a Transport,
        image: &'a ImageReference,
        login: Option<&'a RegistryLogin>,
    ) -> Self {
        let encryption = Encryption::Tls;
        Repository { transport, image, login, authorization: None, encryption }
    }

    /// The same, spoken to so.
    pub(crate) fn spoken_to(self, encryption: Encryption) -> Self {
        Repository { encryption, ..self }
    }

    /// The manifest or index of a tag or digest.
    pub(crate) async fn manifest(&mut self, version: &str) -> Result<Known, SupplyError> {
        let path = format!("manifests/{version}");
        let answer = self.get(&path, MANIFESTS, MOST_MANIFEST_BYTES).await?;
        let digest = digest_of(&answer.body);
        let wanted = match version.strip_prefix("sha256:") {
            Some(_) => Some(version),
            None => {
                answer.headers.get("docker-content-digest").and_then(|value| value.to_str().ok())
            }
        };
        if let Some(wanted) = wanted.filter(|wanted| wanted.starts_with("sha256:")) {
            same("the manifest", wanted, &digest)?;
        }
        Ok(Known { document: Document::parse(&answer.body)?, digest })
    }

    /// The contents of a layer, of at most `limit` bytes.
    pub(crate) async fn blob(
        &mut self,
        descriptor: &Descriptor,
        limit: usize,
    ) -> Result<Vec<u8>, SupplyError> {
        let too_large = usize::try_from(descriptor.size).map_or(true, |size| size > limit);
        if too_large {
            return Err(SupplyError::TooLarge { what: "the layer".to_owned(), limit });
        }
        let path = format!("blobs/{}", descriptor.digest);
        let answer = self.get(&path, "application/octet-stream, */*", limit).await?;
        same("the layer", &descriptor.digest, &digest_of(&answer.body))?;
        Ok(answer.body)
    }

    /// What refers to a manifest: by the registry's own list, else, where it keeps none, by the tag that stands for it.
    pub(crate) async fn referrers(&mut self, digest: &str) -> Result<Index, SupplyError> {
        let path = format!("referrers/{digest}");
        let listed = self.get(&path, MANIFESTS, MOST_MANIFEST_BYTES).await;
        let listed = match listed {
            Ok(answer) => Document::parse(&answer.body),
            Err(error @ SupplyError::Unreachable(_)) => return Err(error),
            Err(_) => self.manifest(&digest.replace(':', "-")).await.map(|known| known.document),
        };
        match listed {
            Ok(Document::Index(index)) => Ok(index),
            Ok(Document::Manifest(_)) => Ok(Index { manifests: Vec::new() }),
            Err(error) if error.is_missing() => Ok(Index { manifests: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    async fn get(
        &mut self,
        path: &str,
        accept: &'static str,
        limit: usize,
    ) -> Result<Answer, SupplyError> {
        let mut ask = Ask {
            url: self.url(path)?,
            accept,
            authorization: self.authorization.clone(),
            limit,
            named_by: NamedBy::Configuration,
            sent: None,
        };
        let first = get(self.transport, ask.clone()).await;
        let Err(SupplyError::Unauthorized { challenges, asked }) = first else { return first };
        ask.authorization = self.authorize(&ask.url, challenges, asked).await?;
        get(self.transport, ask).await
    }

    /// Finds out how this registry is told who asks, for this request and those after it.
    pub(crate) async fn authorize(
        &mut self,
        url: &Uri,
        challenges: Vec<Challenge>,
        asked: String,
    ) -> Result<Option<HeaderValue>, SupplyError> {
        let answer = authorize(self.transport, url, &challenges, self.login).await?;
        if answer.is_none() {
            return Err(SupplyError::Unauthorized { challenges, asked });
        }
        self.authorization.clone_from(&answer);
        Ok(answer)
    }

    /// Asks once, whatever comes; who is told who asks is known already, where it is.
    pub(crate) async fn ask(&self, mut ask: Ask) -> Result<Answer, SupplyError> {
        if ask.named_by == NamedBy::Configuration && ask.authorization.is_none() {
            ask.authorization.clone_from(&self.authorization);
        }
        self.transport.ask(&ask).await
    }

    pub(crate) fn url(&self, path: &str) -> Result<Uri, SupplyError> {
        let host = match self.image.registry.as_str() {
            "docker.io" => DOCKER_HUB,
            host => host,
        };
        let text =
            format!("{}://{host}/v2/{}/{path}", self.encryption.scheme(), self.image.repository);
        text.parse().map_err(|_| SupplyError::Malformed(format!("`{text}` is no URL")))
    }
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(bytes)))
}

fn same(what: &str, wanted: &str, found: &str) -> Result<(), SupplyError> {
    if wanted == found {
        return Ok(());
    }
    let bare = |digest: &str| digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
    Err(SupplyError::Digest { what: what.to_owned(), wanted: bare(wanted), found: bare(found) })
}
