//! The certificates of HTTPS servers.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_crypto::Credential;
use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::codes;
use crate::kinds::{CredentialName, Secret, Server};
use crate::last_good::{LastGood, ServerId};

/// The Secrets, and what each server had last.
pub(crate) struct Credentials<'c> {
    objects: &'c Objects,
    secrets: HashMap<(&'c str, &'c str), &'c Secret>,
    last_good: &'c LastGood,
    next: &'c mut LastGood,
}

impl<'c> Credentials<'c> {
    /// Of all objects.
    pub(crate) fn new(
        objects: &'c Objects,
        last_good: &'c LastGood,
        next: &'c mut LastGood,
    ) -> Self {
        let secret = |secret: &'c Arc<Secret>| {
            let id = &secret.metadata.id;
            ((&*id.namespace, &*id.name), &**secret)
        };
        let secrets = objects.secrets.iter().map(secret).collect();
        Credentials { objects, secrets, last_good, next }
    }

    /// The credential of a server; where its Secret cannot be used, the one that the server had last.
    pub(crate) fn find(
        &mut self,
        gateway: &ObjectId,
        server: &Server,
        name: &CredentialName,
        findings: &mut Findings,
    ) -> Option<Credential> {
        let secret = self.secrets.get(&(&*name.namespace, &*name.name));
        let server_id: ServerId = (gateway.clone(), server.name.clone());
        let kept = self.last_good.credential(&server_id);
        let credential = match secret.and_then(|secret| secret.credential.as_ref()) {
            Some(credential) => Some(credential),
            None => {
                let field = format!("spec.servers[{}].tls.credentialName", server.index);
                let spot = Spot { object: gateway, field, origin: &name.origin };
                self.report(spot, name, secret.is_some(), kept.is_some(), findings);
                kept
            }
        };
        let credential = credential?.clone();
        self.next.keep_credential(server_id, credential.clone());
        Some(credential)
    }

    fn report(
        &self,
        spot: Spot<'_>,
        name: &CredentialName,
        is_written: bool,
        is_kept: bool,
        findings: &mut Findings,
    ) {
        let id = ObjectId::new("Secret", name.namespace.clone(), name.name.clone());
        let (code, message, help) = if is_written {
            let help = "put the certificate in `tls.crt` and its key in `tls.key`";
            (codes::SECRET_UNUSABLE, format!("{id} has no certificate and key"), help)
        } else if self.objects.broken.contains(&id) {
            (codes::SECRET_UNUSABLE, format!("{id} cannot be used"), "see the Secret's own problem")
        } else {
            let help = "write the Secret with `tls.crt` and `tls.key`, or correct the name";
            (codes::SECRET_MISSING, format!("there is no {id}"), help)
        };
        let consequence = match is_kept {
            true => "until then the server keeps its last certificate",
            false => "until then TLS handshakes for the server's hosts are refused",
        };
        findings.error(code, spot, message, &format!("{help}; {consequence}"));
    }
}
