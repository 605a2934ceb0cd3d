//! What listeners name: whether it may be named, and is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_crypto::TrustAnchors;
use portcullis_model::{Code, ObjectId};

use super::super::findings::{Findings, Spot};
use super::super::gather::Objects;
use super::grants::Grants;
use super::parent::Refusal;
use crate::codes;
use crate::kinds::{Authorities, CredentialName, ObjectRef};

/// What is looked up in.
pub(super) struct References<'o> {
    grants: &'o Grants<'o>,
    /// The Secrets with a certificate, and those with authorities.
    certificates: HashSet<(&'o str, &'o str)>,
    vouching: HashSet<(&'o str, &'o str)>,
    /// The ConfigMaps with authorities.
    authorities: HashMap<(&'o str, &'o str), bool>,
}

/// Where a reference is written.
#[derive(Clone, Copy)]
pub(super) struct Referrer<'r> {
    /// The object.
    pub(super) object: &'r ObjectId,
    /// What becomes of what needs it.
    pub(super) consequence: &'r str,
}

impl<'o> References<'o> {
    /// In these objects.
    pub(super) fn new(objects: &'o Objects, grants: &'o Grants<'o>) -> Self {
        let name = |id: &'o ObjectId| (&*id.namespace, &*id.name);
        let secrets = || objects.secrets.iter();
        let vouches = |authorities: &Authorities| matches!(authorities, Authorities::Usable(_));
        References {
            grants,
            certificates: secrets()
                .filter(|secret| secret.credential.is_some())
                .map(|secret| name(&secret.metadata.id))
                .collect(),
            vouching: secrets()
                .filter(|secret| vouches(&secret.authorities))
                .map(|secret| name(&secret.metadata.id))
                .collect(),
            authorities: objects
                .config_maps
                .iter()
                .filter_map(|map| Some((name(&map.metadata.id), usable(map.authorities.as_ref()?))))
                .collect(),
        }
    }

    /// The Secret that a reference to a certificate means; `None` where it must not be used. Its lack of a certificate
    /// is a refusal all the same.
    pub(super) fn certificate(
        &self,
        from: Referrer<'_>,
        to: &ObjectRef,
        refusal: &mut Option<Refusal>,
        findings: &mut Findings,
    ) -> Option<CredentialName> {
        const REASON: &str = "InvalidCertificateRef";
        if !to.is_a("", "Secret") {
            let message = format!("a certificate is found in a Secret, not in a `{}`", to.kind);
            report(from, to, (codes::BAD_VALUE, &message, "write `kind: Secret`"), findings);
            refuse(refusal, REASON, message);
            return None;
        }
        self.permit(from, to, refusal, findings)?;
        if !self.certificates.contains(&(&*to.namespace, &*to.name)) {
            refuse(refusal, REASON, format!("{} has no certificate that can be used", to.id()));
        }
        Some(named(to))
    }

    /// The ConfigMap or Secret that vouches for clients; `None` where it must not be used.
    pub(super) fn authority(
        &self,
        from: Referrer<'_>,
        to: &ObjectRef,
        refusal: &mut Option<Refusal>,
        findings: &mut Findings,
    ) -> Option<CredentialName> {
        let is_map = to.is_a("", "ConfigMap");
        if !is_map && !to.is_a("", "Secret") {
            let message =
                format!("CA certificates are found in a ConfigMap, not in a `{}`", to.kind);
            report(from, to, (codes::BAD_VALUE, &message, "write `kind: ConfigMap`"), findings);
            refuse(refusal, "InvalidCACertificateKind", message);
            return None;
        }
        self.permit(from, to, refusal, findings)?;
        let key = (&*to.namespace, &*to.name);
        let is_usable = match is_map {
            true => self.authorities.get(&key) == Some(&true),
            false => self.vouching.contains(&key),
        };
        if !is_usable {
            let message = format!("{} has no `ca.crt` that can be used", to.id());
            refuse(refusal, "InvalidCACertificateRef", message);
        }
        Some(named(to))
    }

    fn permit(
        &self,
        from: Referrer<'_>,
        to: &ObjectRef,
        refusal: &mut Option<Refusal>,
        findings: &mut Findings,
    ) -> Option<()> {
        if self.grants.permit(from.object, to) {
            return Some(());
        }
        let message = not_permitted(from.object, to);
        let help = help_to_permit(from.object, to);
        report(from, to, (codes::NOT_PERMITTED, &message, &help), findings);
        refuse(refusal, "RefNotPermitted", message);
        None
    }
}

/// That no ReferenceGrant permits a reference.
pub(super) fn not_permitted(from: &ObjectId, to: &ObjectRef) -> String {
    format!(
        "no ReferenceGrant of the namespace `{}` lets a {} of `{}` refer to {}",
        to.namespace,
        from.kind,
        from.namespace,
        to.id()
    )
}

/// What to write to permit it.
pub(super) fn help_to_permit(from: &ObjectId, to: &ObjectRef) -> String {
    format!(
        "write a ReferenceGrant in `{}` with `from: [{{group: {}, kind: {}, namespace: {}}}]` and `to: [{{group: '{}', kind: {}}}]`",
        to.namespace,
        crate::kinds::GROUP,
        from.kind,
        from.namespace,
        to.group,
        to.kind
    )
}

/// The first reason stays.
fn refuse(refusal: &mut Option<Refusal>, reason: &'static str, message: String) {
    refusal.get_or_insert(Refusal { reason, message });
}

fn report(
    from: Referrer<'_>,
    to: &ObjectRef,
    (code, message, help): (Code, &str, &str),
    findings: &mut Findings,
) {
    let spot = Spot { object: from.object, field: to.field.clone(), origin: &to.origin };
    let help = format!("{help}; {}", from.consequence);
    findings.error(code, spot, message.to_owned(), &help);
}

fn named(to: &ObjectRef) -> CredentialName {
    CredentialName {
        namespace: to.namespace.clone(),
        name: to.name.clone(),
        // Under `tls` for a certificate of a listener; whole for what the Gateway names.
        field: to.field.split_once(".tls.certificateRefs").map_or_else(
            || to.field.as_str().into(),
            |(_, index)| format!("certificateRefs{index}").into(),
        ),
        origin: to.origin.clone(),
    }
}

fn usable(pem: &Arc<str>) -> bool {
    TrustAnchors::from_pem(pem.as_bytes(), None).is_ok()
}
