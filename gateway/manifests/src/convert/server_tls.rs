//! How TLS ends at each server: its certificates, and who vouches for its clients. What cannot be had is
//! replaced by what the server had last; a server that never could verify its clients refuses them.

use std::sync::Arc;

use portcullis_crypto::{ClientVerification, TrustAnchors};
use portcullis_model::{ClientAuth, ObjectId, Origin, TlsSettings};

use super::credentials::{At, Kept, Stores, report_file};
use super::findings::Findings;
use crate::codes;
use crate::kinds::{
    Authorities, AuthoritySource, CertificateSource, ClientRules, CredentialName, NamedFile,
    Server, ServerTls,
};
use crate::last_good::{LastGood, ServerId};

/// Resolves what servers name.
pub(crate) struct Credentials<'c> {
    stores: Stores<'c>,
    last_good: &'c LastGood,
    next: &'c mut LastGood,
}

impl<'c> Credentials<'c> {
    /// From these stores.
    pub(crate) fn new(stores: Stores<'c>, last_good: &'c LastGood, next: &'c mut LastGood) -> Self {
        Credentials { stores, last_good, next }
    }

    /// The settings of a server that ends TLS.
    pub(crate) fn settings(
        &mut self,
        gateway: &ObjectId,
        server: &Server,
        tls: &ServerTls,
        findings: &mut Findings,
    ) -> TlsSettings {
        let at = At { gateway, server };
        let id: ServerId = (gateway.clone(), server.name.clone());
        let last = self.last_good.credentials(&id);
        let kept = if last.is_empty() { Kept::No } else { Kept::Yes };
        let mut credentials = self.stores.credentials(at, &tls.certificates, kept, findings);
        if credentials.is_empty() && tls.certificates != CertificateSource::Refused {
            credentials = last.to_vec();
        }
        self.next.keep_credentials(id.clone(), credentials.clone());
        let client_auth = match &tls.clients {
            None => ClientAuth::NotAsked,
            Some(clients) => self.client_auth(at, id, tls, clients, findings),
        };
        let is_of_api = gateway.group == crate::kinds::GROUP;
        let apart = is_of_api.then(|| format!("{gateway} {}", server.name).into());
        TlsSettings { credentials, client_auth, parameters: tls.parameters.clone(), apart }
    }

    fn client_auth(
        &mut self,
        at: At<'_>,
        id: ServerId,
        tls: &ServerTls,
        clients: &ClientRules,
        findings: &mut Findings,
    ) -> ClientAuth {
        let reference = reference(&tls.certificates, &clients.authorities);
        // Authorities from before stand in for themselves alone: never for others that are named now.
        let kept = self.last_good.anchors(&id).filter(|kept| kept.reference == reference);
        let found = match self.find_anchors(tls, clients) {
            Ok(anchors) => Some(anchors),
            Err(lack) => {
                let stands_in = if kept.is_some() { Kept::Yes } else { Kept::No };
                lack.report(at, clients, stands_in, findings);
                kept.map(|kept| kept.anchors.clone())
            }
        };
        let Some(anchors) = found else { return ClientAuth::Unverifiable };
        self.next.keep_anchors(id, reference, anchors.clone());
        let (rules, demand) = (clients.rules.clone(), clients.demand);
        ClientAuth::Verified(Arc::new(ClientVerification { anchors, rules, demand }))
    }

    fn find_anchors(&self, tls: &ServerTls, clients: &ClientRules) -> Result<TrustAnchors, Lack> {
        match (&clients.authorities, &tls.certificates) {
            (AuthoritySource::Secret(name), _) => match self.of_secret(name) {
                Some(found) => found,
                None => Err(self.no_secret(name)),
            },
            (AuthoritySource::Files { authorities, revocations }, _) => {
                self.of_files(authorities, revocations.as_ref())
            }
            (AuthoritySource::BesideCertificate, CertificateSource::Secrets(names)) => {
                self.beside(names)
            }
            (AuthoritySource::BesideCertificate, CertificateSource::Mesh(origin)) => {
                let path = self.stores.files.of_mesh("root-cert.pem");
                let file = NamedFile { path, field: "mode".into(), origin: origin.clone() };
                self.of_files(&file, None)
            }
            (AuthoritySource::ConfigMaps(names), _) => self.of_config_maps(names),
            (AuthoritySource::Refused, _)
            | (
                AuthoritySource::BesideCertificate,
                CertificateSource::Files(_) | CertificateSource::Refused,
            ) => Err(Lack::Unnamed),
        }
    }

    /// The Secret `<name>-cacert` of the first certificate that has one, else the certificate's own.
    fn beside(&self, names: &[CredentialName]) -> Result<TrustAnchors, Lack> {
        for name in names {
            let beside = format!("{}-cacert", name.name);
            let beside = CredentialName { name: beside.into(), ..name.clone() };
            // One that is there and cannot be used must not be passed over.
            if self.stores.is_broken(&beside.id()) {
                return Err(Lack::Unusable(beside));
            }
            if let Some(found) = self.of_secret(&beside).or_else(|| self.of_secret(name)) {
                return found;
            }
        }
        Err(names.first().map_or(Lack::Unnamed, |name| self.no_secret(name)))
    }

    /// Those of all the ConfigMaps together.
    fn of_config_maps(&self, names: &[CredentialName]) -> Result<TrustAnchors, Lack> {
        let mut pem = String::new();
        for name in names {
            let Some(found) = self.stores.authorities(&name.namespace, &name.name) else {
                return Err(Lack::NoConfigMap(name.clone()));
            };
            if TrustAnchors::from_pem(found.as_bytes(), None).is_err() {
                return Err(Lack::Unusable(name.clone()));
            }
            pem.push_str(found);
            pem.push('\n');
        }
        TrustAnchors::from_pem(pem.as_bytes(), None).map_err(|_| Lack::Unnamed)
    }

    /// What a Secret says of authorities; `None` where it says nothing.
    fn of_secret(&self, name: &CredentialName) -> Option<Result<TrustAnchors, Lack>> {
        match &self.stores.secret(&name.namespace, &name.name)?.authorities {
            Authorities::Absent => None,
            Authorities::Unusable => Some(Err(Lack::Unusable(name.clone()))),
            Authorities::Usable(anchors) => Some(Ok(anchors.clone())),
        }
    }

    fn no_secret(&self, name: &CredentialName) -> Lack {
        let is_written = self.stores.secret(&name.namespace, &name.name).is_some();
        match (is_written, self.stores.is_broken(&name.id())) {
            (true, _) => Lack::Without(name.clone()),
            (false, true) => Lack::Unusable(name.clone()),
            (false, false) => Lack::Missing(name.clone()),
        }
    }

    fn of_files(
        &self,
        authorities: &NamedFile,
        revocations: Option<&NamedFile>,
    ) -> Result<TrustAnchors, Lack> {
        let read = |file: &NamedFile| {
            self.stores.files.read(&file.path).map_err(|why| Lack::File(file.clone(), why))
        };
        // Both are asked for, so that both are watched.
        let (pem, lists) = (read(authorities), revocations.map(read).transpose());
        TrustAnchors::from_pem(&pem?, lists?.as_deref())
            .map_err(|error| Lack::File(authorities.clone(), error.to_string()))
    }
}

/// Why there is nobody to vouch for clients.
enum Lack {
    /// Nothing is named.
    Unnamed,
    /// There is no such Secret.
    Missing(CredentialName),
    /// There is no such ConfigMap, or it has no authorities.
    NoConfigMap(CredentialName),
    /// It has no authorities.
    Without(CredentialName),
    /// What it has cannot be used; it has a problem of its own.
    Unusable(CredentialName),
    /// A file cannot be used.
    File(NamedFile, String),
}

impl Lack {
    fn report(&self, at: At<'_>, clients: &ClientRules, kept: Kept, findings: &mut Findings) {
        let consequence = match kept {
            Kept::Yes => "until then clients are verified by the last authorities",
            Kept::No => "until then TLS handshakes for the server's hosts are refused",
        };
        let (field, origin, message): (&str, &Origin, String) = match self {
            Lack::File(file, why) => return report_file(at, file, why, consequence, findings),
            Lack::Unnamed => {
                ("mode", &clients.origin, "nothing to verify clients by is named".into())
            }
            Lack::Missing(name) => {
                (&name.field, &name.origin, format!("there is no {}", name.id()))
            }
            Lack::NoConfigMap(name) => (
                &name.field,
                &name.origin,
                format!("there is no ConfigMap/{}/{} with `ca.crt`", name.namespace, name.name),
            ),
            Lack::Without(name) => (
                &name.field,
                &name.origin,
                format!("{} has no `ca.crt` to verify clients by", name.id()),
            ),
            Lack::Unusable(name) => {
                (&name.field, &name.origin, format!("{} has no usable `ca.crt`", name.id()))
            }
        };
        let help = format!(
            "put the CA certificates into `ca.crt` of the Secret, or of one named with `caCertCredentialName`; {consequence}"
        );
        findings.error(codes::CLIENTS_UNVERIFIABLE, at.spot(field, origin), message, &help);
    }
}

/// What is named, to be compared with what was named before.
fn reference(certificates: &CertificateSource, authorities: &AuthoritySource) -> String {
    let secret = |name: &CredentialName| format!("{}/{}", name.namespace, name.name);
    match (authorities, certificates) {
        (AuthoritySource::Secret(name), _) => secret(name),
        (AuthoritySource::Files { authorities, revocations }, _) => {
            format!("{:?} {:?}", authorities.path, revocations.as_ref().map(|file| &file.path))
        }
        (AuthoritySource::ConfigMaps(names), _) => {
            format!("config maps {:?}", names.iter().map(secret).collect::<Vec<_>>())
        }
        (AuthoritySource::Refused, _) => "nothing".to_owned(),
        (AuthoritySource::BesideCertificate, CertificateSource::Secrets(names)) => {
            format!("beside {:?}", names.iter().map(secret).collect::<Vec<_>>())
        }
        (AuthoritySource::BesideCertificate, _) => "mesh".to_owned(),
    }
}
