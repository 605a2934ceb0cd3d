//! The certificates of servers that end TLS.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_crypto::{Credential, CredentialError};
use portcullis_model::{ObjectId, Origin};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::CertificateFiles;
use crate::codes;
use crate::kinds::{
    CertificateFiles as NamedPair, CertificateSource, CredentialName, NamedFile, Secret, Server,
};

/// Where certificates and authorities are found.
pub(crate) struct Stores<'c> {
    objects: &'c Objects,
    secrets: HashMap<(&'c str, &'c str), &'c Secret>,
    pub(crate) files: &'c CertificateFiles<'c>,
}

/// A server of a Gateway, to report on.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) gateway: &'a ObjectId,
    pub(crate) server: &'a Server,
}

impl<'c> Stores<'c> {
    /// Of all objects, and these files.
    pub(crate) fn new(objects: &'c Objects, files: &'c CertificateFiles<'c>) -> Self {
        let secret = |secret: &'c Arc<Secret>| {
            let id = &secret.metadata.id;
            ((&*id.namespace, &*id.name), &**secret)
        };
        Stores { objects, secrets: objects.secrets.iter().map(secret).collect(), files }
    }

    /// The PEM of a ConfigMap's `ca.crt`.
    pub(crate) fn authorities(&self, namespace: &str, name: &str) -> Option<&'c str> {
        let mut maps = self.objects.config_maps.iter();
        let found = maps.find(|map| {
            let id = &map.metadata.id;
            *id.namespace == *namespace && *id.name == *name
        });
        found?.authorities.as_deref()
    }

    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<&'c Secret> {
        self.secrets.get(&(namespace, name)).copied()
    }

    /// What a server's certificates are; `None` where one cannot be had, and a problem is reported. `kept` is
    /// whether others serve on.
    pub(crate) fn credentials(
        &self,
        at: At<'_>,
        source: &CertificateSource,
        kept: Kept,
        findings: &mut Findings,
    ) -> Vec<Credential> {
        let found: Vec<Option<Credential>> = match source {
            CertificateSource::Secrets(names) => {
                names.iter().map(|name| self.of_secret(at, name, kept, findings)).collect()
            }
            CertificateSource::Files(pairs) => {
                pairs.iter().map(|pair| self.of_files(at, pair, kept, findings)).collect()
            }
            CertificateSource::Refused => return Vec::new(),
            CertificateSource::Mesh(origin) => {
                let pair = self.mesh_pair(origin);
                vec![self.of_files(at, &pair, kept, findings)]
            }
        };
        if kept == Kept::Yes && found.contains(&None) {
            return Vec::new();
        }
        let mut found: Vec<Credential> = found.into_iter().flatten().collect();
        // What is cheaper to sign with is offered first; every client understands RSA.
        found.sort_by_key(Credential::is_rsa);
        found
    }

    fn of_secret(
        &self,
        at: At<'_>,
        name: &CredentialName,
        kept: Kept,
        findings: &mut Findings,
    ) -> Option<Credential> {
        let secret = self.secret(&name.namespace, &name.name);
        let credential = secret.and_then(|secret| secret.credential.clone());
        if credential.is_none() {
            let (code, message, help) = self.why(name);
            let help = format!("{help}; {}", kept.consequence());
            findings.error(code, at.spot(&name.field, &name.origin), message, &help);
        }
        credential
    }

    /// Why a Secret has no certificate.
    fn why(&self, name: &CredentialName) -> (portcullis_model::Code, String, &'static str) {
        let id = name.id();
        if self.secret(&name.namespace, &name.name).is_some() {
            let help = "put the certificate in `tls.crt` and its key in `tls.key`";
            (codes::SECRET_UNUSABLE, format!("{id} has no certificate and key"), help)
        } else if self.is_broken(&id) {
            (codes::SECRET_UNUSABLE, format!("{id} cannot be used"), "see the Secret's own problem")
        } else {
            let help = "write the Secret with `tls.crt` and `tls.key`, or correct the name";
            (codes::SECRET_MISSING, format!("there is no {id}"), help)
        }
    }

    pub(crate) fn is_broken(&self, id: &ObjectId) -> bool {
        self.objects.broken.contains(id)
    }

    fn mesh_pair(&self, origin: &Origin) -> NamedPair {
        let named = |name: &str| NamedFile {
            path: self.files.of_mesh(name),
            field: "mode".into(),
            origin: origin.clone(),
        };
        NamedPair { chain: named("cert-chain.pem"), key: named("key.pem") }
    }

    fn of_files(
        &self,
        at: At<'_>,
        pair: &NamedPair,
        kept: Kept,
        findings: &mut Findings,
    ) -> Option<Credential> {
        // Both are asked for, so that both are watched.
        let (chain, key) = (self.files.read(&pair.chain.path), self.files.read(&pair.key.path));
        let failed = match (chain, key) {
            (Ok(chain), Ok(key)) => match Credential::from_pem(&chain, &key) {
                Ok(credential) => return Some(credential),
                Err(error @ CredentialError::Certificate(_)) => (&pair.chain, error.to_string()),
                Err(error) => (&pair.key, error.to_string()),
            },
            (Err(error), _) => (&pair.chain, error),
            (_, Err(error)) => (&pair.key, error),
        };
        report_file(at, failed.0, &failed.1, kept.consequence(), findings);
        None
    }
}

/// Says that a file cannot be used. Nothing of what it holds is shown.
pub(crate) fn report_file(
    at: At<'_>,
    file: &NamedFile,
    why: &str,
    consequence: &str,
    findings: &mut Findings,
) {
    let message = format!("{}: {why}", file.path.display());
    let help = format!("put a readable PEM file there; {consequence}");
    findings.error(codes::CERTIFICATE_FILE, at.spot(&file.field, &file.origin), message, &help);
}

/// Whether a server has certificates from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

impl Kept {
    fn consequence(self) -> &'static str {
        match self {
            Kept::Yes => "until then the server keeps its last certificate",
            Kept::No => "until then TLS handshakes for the server's hosts are refused",
        }
    }
}

impl<'a> At<'a> {
    /// A field of the server's `tls`.
    pub(crate) fn spot(&self, field: &str, origin: &'a Origin) -> Spot<'a> {
        // Who vouches for clients is said in the Gateway, not in the listener.
        if field.starts_with("spec.") {
            return Spot { object: self.gateway, field: field.to_owned(), origin };
        }
        let field = format!("{}.{field}", self.server.tls_field);
        Spot { object: self.server.object(self.gateway), field, origin }
    }
}

impl CredentialName {
    /// The Secret's identity.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::new("Secret", self.namespace.clone(), self.name.clone())
    }
}
