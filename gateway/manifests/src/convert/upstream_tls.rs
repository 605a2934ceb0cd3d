//! TLS to upstreams: the certificates and authorities that DestinationRules name, found. What cannot be had is replaced
//! by what was had last under the same name; what never could be has requests refused, never sent in plain text.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_crypto::{
    Credential, CredentialError, ServerNames, ServerVerification, TrustAnchors,
};
use portcullis_model::{
    ClientTls, Cluster, ClusterName, Code, Endpoint, Mesh, ObjectId, Origin, UpstreamServerName,
    UpstreamTls as Model,
};

use super::credentials::Stores;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{
    Authorities, AuthorityRef, AuthorityStore, ClientCertificate, ClientMode, CredentialName,
    NamedFile, NamedSecret, TlsRules, UpstreamAuthorities, UpstreamTls,
};
use crate::last_good::{KeptUpstreamTls, LastGood, UpstreamMaterial, UpstreamTlsId};

/// Where operating systems keep the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The label by which Istio marks workloads with a sidecar.
const TLS_MODE: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// What to do about a Secret that a DestinationRule names.
const OF_RULES: &str =
    "write the Secret with `tls.crt`, `tls.key` and `ca.crt`, in the DestinationRule's namespace";

/// The same for one that a Gateway names.
const OF_GATEWAYS: &str = "write the Secret with `tls.crt` and `tls.key`, or correct the name";

/// Finds what is named, each thing once.
pub(crate) struct UpstreamCredentials<'c> {
    stores: &'c Stores<'c>,
    last_good: &'c LastGood,
    next: &'c mut LastGood,
    found: HashMap<UpstreamTlsId, Result<UpstreamMaterial, Arc<str>>>,
    system: Option<Result<TrustAnchors, String>>,
}

impl<'c> UpstreamCredentials<'c> {
    /// From these stores.
    pub(crate) fn new(
        stores: &'c Stores<'c>,
        last_good: &'c LastGood,
        next: &'c mut LastGood,
    ) -> Self {
        UpstreamCredentials { stores, last_good, next, found: HashMap::new(), system: None }
    }

    /// Why what an object asks for cannot be had.
    pub(crate) fn failure(&self, object: &ObjectId) -> Option<String> {
        let mut of_object = self.found.iter().filter(|((id, _), _)| id.as_ref() == Some(object));
        of_object.find_map(|(_, found)| found.as_ref().err().map(ToString::to_string))
    }

    /// What a Gateway shows to backends; the reason where it cannot be had and never was.
    pub(crate) fn certificate(
        &mut self,
        gateway: &ObjectId,
        named: &CredentialName,
        findings: &mut Findings,
    ) -> Result<Credential, Arc<str>> {
        let rules = TlsRules::of_gateway(gateway, named);
        let material =
            self.material(&(rules.object.clone(), rules.field.clone()), &rules, findings)?;
        material.credential.ok_or_else(|| "there is no certificate".into())
    }

    /// How the connections of a cluster are protected. Where nothing is written, endpoints that are labelled as having
    /// a sidecar are spoken to as one, as in Istio.
    pub(crate) fn protect(
        &mut self,
        cluster: &mut Cluster,
        written: Option<&UpstreamTls>,
        service: &ObjectId,
        findings: &mut Findings,
    ) {
        cluster.tls = match written {
            Some(UpstreamTls::Plain) => Model::Plain,
            Some(UpstreamTls::Unreadable) => {
                Model::Broken("what asks for TLS to the upstream cannot be read".into())
            }
            Some(UpstreamTls::Unsettled) => {
                Model::Broken("the port asks for TLS, and no BackendTLSPolicy or DestinationRule says whom to trust".into())
            }
            Some(UpstreamTls::Client(rules)) => self.client(cluster, rules, findings),
            None if cluster.endpoints.iter().any(has_sidecar) => {
                report_mixed(cluster, service, findings);
                let rules = TlsRules::of_sidecar(service, &cluster.origin);
                self.client(cluster, &rules, findings)
            }
            None => Model::Plain,
        };
    }

    fn client(&mut self, cluster: &Cluster, rules: &TlsRules, findings: &mut Findings) -> Model {
        let id: UpstreamTlsId = (rules.object.clone(), rules.field.clone());
        let material = match self.found.get(&id) {
            Some(found) => found.clone(),
            None => {
                let found = self.material(&id, rules, findings);
                self.found.insert(id, found.clone());
                found
            }
        };
        match material {
            Ok(material) => Model::Client(Arc::new(client_tls(cluster, rules, material))),
            Err(reason) => Model::Broken(reason),
        }
    }

    fn material(
        &mut self,
        id: &UpstreamTlsId,
        rules: &TlsRules,
        findings: &mut Findings,
    ) -> Result<UpstreamMaterial, Arc<str>> {
        let reference = format!("{:?} {:?}", Named(rules), rules.mode);
        let kept = self.last_good.upstream_tls(id).filter(|kept| kept.reference == reference);
        let found = match self.find(rules) {
            Ok(found) => found,
            Err(lack) => {
                let consequence = match kept {
                    Some(_) => "until then what was had last is used",
                    None => "until then the requests that this covers are answered with 503",
                };
                lack.report(rules, consequence, findings);
                let kept = kept.map(|kept| kept.material.clone());
                kept.ok_or_else(|| Arc::from(lack.message))?
            }
        };
        let material = found.clone();
        self.next.keep_upstream_tls(id.clone(), KeptUpstreamTls { reference, material });
        Ok(found)
    }

    fn find(&mut self, rules: &TlsRules) -> Result<UpstreamMaterial, Lack> {
        // All files are asked for, so that all are watched.
        let credential = rules.certificate.as_ref().map(|named| self.credential(rules, named));
        let anchors = self.anchors(rules);
        Ok(UpstreamMaterial { credential: credential.transpose()?, anchors: anchors? })
    }

    fn credential(&self, rules: &TlsRules, named: &ClientCertificate) -> Result<Credential, Lack> {
        let (chain, key) = match named {
            ClientCertificate::Secret(named) => {
                return self.of_secret(rules.namespace(), named, OF_RULES);
            }
            ClientCertificate::OfGateway(named) => {
                let secret = NamedSecret {
                    name: named.name.clone(),
                    field: named.field.clone(),
                    origin: named.origin.clone(),
                };
                return self.of_secret(&named.namespace, &secret, OF_GATEWAYS);
            }
            ClientCertificate::Files { chain, key } => (chain.clone(), key.clone()),
            ClientCertificate::Mesh => {
                (self.of_mesh(rules, "cert-chain.pem"), self.of_mesh(rules, "key.pem"))
            }
        };
        let (certificate, private) = (self.read(&chain), self.read(&key));
        Credential::from_pem(&certificate?, &private?).map_err(|error| match error {
            CredentialError::Certificate(_) => Lack::file(&chain, &error.to_string()),
            _ => Lack::file(&key, &error.to_string()),
        })
    }

    fn of_secret(
        &self,
        namespace: &str,
        named: &NamedSecret,
        help: &'static str,
    ) -> Result<Credential, Lack> {
        let found = match self.stores.secret(namespace, &named.name) {
            Some(secret) => secret.credential.clone().ok_or_else(|| {
                let message =
                    format!("Secret/{namespace}/{} has no certificate and key", named.name);
                Lack::secret(codes::SECRET_UNUSABLE, named, message)
            }),
            None => Err(self.no_secret(namespace, named)),
        };
        found.map_err(|lack| Lack { help, ..lack })
    }

    fn no_secret(&self, namespace: &str, named: &NamedSecret) -> Lack {
        let id = ObjectId::new("Secret", namespace, named.name.clone());
        match self.stores.is_broken(&id) {
            true => Lack::secret(codes::SECRET_UNUSABLE, named, format!("{id} cannot be used")),
            false => Lack::secret(codes::SECRET_MISSING, named, format!("there is no {id}")),
        }
    }

    /// `None` where nobody has to vouch.
    fn anchors(&mut self, rules: &TlsRules) -> Result<Option<TrustAnchors>, Lack> {
        match &rules.authorities {
            UpstreamAuthorities::Nobody => Ok(None),
            UpstreamAuthorities::System => self.system(rules).map(Some),
            UpstreamAuthorities::Secret(named) => self.beside(rules, named).map(Some),
            UpstreamAuthorities::Mesh => {
                self.of_files(&self.of_mesh(rules, "root-cert.pem"), None).map(Some)
            }
            UpstreamAuthorities::Files { authorities, revocations } => {
                self.of_files(authorities, revocations.as_ref()).map(Some)
            }
            UpstreamAuthorities::References(references) => {
                self.referred(rules, references).map(Some)
            }
        }
    }

    fn of_files(
        &self,
        authorities: &NamedFile,
        revocations: Option<&NamedFile>,
    ) -> Result<TrustAnchors, Lack> {
        let (pem, lists) =
            (self.read(authorities), revocations.map(|file| self.read(file)).transpose());
        TrustAnchors::from_pem(&pem?, lists?.as_deref())
            .map_err(|error| Lack::file(authorities, &error.to_string()))
    }

    /// The authorities of the Secret itself, else of the one named `<name>-cacert`.
    fn beside(&self, rules: &TlsRules, named: &NamedSecret) -> Result<TrustAnchors, Lack> {
        let namespace = rules.namespace();
        let beside = NamedSecret { name: format!("{}-cacert", named.name).into(), ..named.clone() };
        for named in [named, &beside] {
            let Some(secret) = self.stores.secret(namespace, &named.name) else { continue };
            match &secret.authorities {
                Authorities::Usable(anchors) => return Ok(anchors.clone()),
                Authorities::Absent => {}
                Authorities::Unusable => {
                    let message =
                        format!("Secret/{namespace}/{} has no usable `ca.crt`", named.name);
                    return Err(Lack::secret(codes::SECRET_UNUSABLE, named, message));
                }
            }
        }
        if self.stores.secret(namespace, &named.name).is_none() {
            return Err(self.no_secret(namespace, named));
        }
        let message =
            format!("Secret/{namespace}/{} has no `ca.crt` to verify endpoints by", named.name);
        Err(Lack::secret(codes::SECRET_UNUSABLE, named, message))
    }

    /// Those of all the objects together: half of them is not what was meant.
    fn referred(
        &self,
        rules: &TlsRules,
        references: &[AuthorityRef],
    ) -> Result<TrustAnchors, Lack> {
        let mut pem = String::new();
        for reference in references {
            let found = match (reference.store, references) {
                (AuthorityStore::Secret, [only]) => return self.of_secret_ref(rules, only),
                (AuthorityStore::Secret, _) => {
                    let message = "several references are served where all are to ConfigMaps";
                    return Err(Lack::reference(reference, message.to_owned()));
                }
                (AuthorityStore::ConfigMap, _) => {
                    self.stores.authorities(rules.namespace(), &reference.name)
                }
            };
            let usable = found.filter(|pem| TrustAnchors::from_pem(pem.as_bytes(), None).is_ok());
            let Some(usable) = usable else {
                return Err(Lack::unusable(rules, reference, found.is_some(), "ConfigMap"));
            };
            pem.push_str(usable);
            pem.push('\n');
        }
        TrustAnchors::from_pem(pem.as_bytes(), None).map_err(|error| Lack {
            code: codes::UPSTREAM_UNVERIFIABLE,
            field: rules.field.clone(),
            origin: rules.origin.clone(),
            message: error.to_string(),
            help: "put the CA certificates there as PEM",
        })
    }

    fn of_secret_ref(
        &self,
        rules: &TlsRules,
        reference: &AuthorityRef,
    ) -> Result<TrustAnchors, Lack> {
        let found = self.stores.secret(rules.namespace(), &reference.name);
        match found.map(|secret| &secret.authorities) {
            Some(Authorities::Usable(anchors)) => Ok(anchors.clone()),
            found => Err(Lack::unusable(rules, reference, found.is_some(), "Secret")),
        }
    }

    fn system(&mut self, rules: &TlsRules) -> Result<TrustAnchors, Lack> {
        let stores = self.stores;
        let found = self.system.get_or_insert_with(|| {
            let bundle =
                SYSTEM_BUNDLES.iter().find_map(|path| stores.files.read(path.as_ref()).ok());
            let bundle = bundle.ok_or("the operating system has no bundle of authorities")?;
            TrustAnchors::from_bundle(&bundle).map_err(|error| error.to_string())
        });
        found.clone().map_err(|why| Lack {
            code: codes::UPSTREAM_UNVERIFIABLE,
            field: rules.field.clone(),
            origin: rules.origin.clone(),
            message: format!("there is nobody to verify endpoints by: {why}"),
            help: "name the authorities in `caCertificates`",
        })
    }

    fn of_mesh(&self, rules: &TlsRules, name: &str) -> NamedFile {
        let field = format!("{}.mode", rules.field).into();
        NamedFile { path: self.stores.files.of_mesh(name), field, origin: rules.origin.clone() }
    }

    fn read(&self, file: &NamedFile) -> Result<Vec<u8>, Lack> {
        self.stores.files.read(&file.path).map_err(|why| Lack::file(file, &why))
    }
}

/// The settings of a cluster's connections.
fn client_tls(cluster: &Cluster, rules: &TlsRules, material: UpstreamMaterial) -> ClientTls {
    let is_mesh = rules.mode == ClientMode::IstioMutual;
    let names = match (&rules.names, &cluster.subject_alt_names) {
        (names, _) if !names.is_empty() => ServerNames::OneOf(names.clone()),
        (_, names) if !names.is_empty() => ServerNames::OneOf(names.clone()),
        _ if is_mesh => ServerNames::AnySpiffe,
        _ => ServerNames::Asked,
    };
    ClientTls {
        verification: match material.anchors {
            Some(anchors) => ServerVerification::Verified { anchors, names },
            None => ServerVerification::Nobody,
        },
        credential: material.credential,
        server_name: match &rules.sni {
            Some(name) => UpstreamServerName::Fixed(name.clone()),
            None if is_mesh => UpstreamServerName::Fixed(sidecar_name(&cluster.name)),
            None => UpstreamServerName::Authority,
        },
        mesh: if is_mesh { Mesh::Sidecar } else { Mesh::Outside },
    }
}

/// The name by which sidecars and east-west gateways know a cluster.
fn sidecar_name(cluster: &ClusterName) -> Arc<str> {
    format!("outbound_.{}_.{}_.{}", cluster.port, cluster.subset, cluster.host).into()
}

fn has_sidecar(endpoint: &Endpoint) -> bool {
    endpoint.labels.iter().any(|(name, value)| (&**name, &**value) == TLS_MODE)
}

fn report_mixed(cluster: &Cluster, service: &ObjectId, findings: &mut Findings) {
    let Some(other) = cluster.endpoints.iter().find(|endpoint| !has_sidecar(endpoint)) else {
        return;
    };
    let message = format!(
        "{} of `{}` is not labelled `{}: istio` as others are; it is spoken to by mutual TLS too",
        other.address, cluster.name.host, TLS_MODE.0
    );
    let help = "label all endpoints, or write the mode in a DestinationRule";
    let spot = Spot { object: service, field: String::new(), origin: &cluster.origin };
    findings.warning(codes::NO_EFFECT, spot, message, help);
}

impl TlsRules {
    /// What is done where a label says that there is a sidecar.
    fn of_sidecar(service: &ObjectId, origin: &Origin) -> Self {
        TlsRules {
            object: Some(service.clone()),
            field: "".into(),
            origin: origin.clone(),
            certificate: Some(ClientCertificate::Mesh),
            authorities: UpstreamAuthorities::Mesh,
            names: [].into(),
            sni: None,
            mode: ClientMode::IstioMutual,
        }
    }

    /// The certificate that a Gateway shows to whom others verify.
    fn of_gateway(gateway: &ObjectId, named: &CredentialName) -> Self {
        TlsRules {
            object: Some(gateway.clone()),
            field: named.field.clone(),
            origin: named.origin.clone(),
            certificate: Some(ClientCertificate::OfGateway(named.clone())),
            authorities: UpstreamAuthorities::Nobody,
            names: [].into(),
            sni: None,
            mode: ClientMode::Mutual,
        }
    }

    fn namespace(&self) -> &str {
        self.object.as_ref().map_or("", |object| &object.namespace)
    }
}

/// Why something cannot be had.
struct Lack {
    code: Code,
    field: Box<str>,
    origin: Origin,
    message: String,
    help: &'static str,
}

impl Lack {
    fn file(file: &NamedFile, why: &str) -> Self {
        Lack {
            code: codes::CERTIFICATE_FILE,
            field: file.field.clone(),
            origin: file.origin.clone(),
            message: format!("{}: {why}", file.path.display()),
            help: "put a readable PEM file there",
        }
    }

    fn secret(code: Code, named: &NamedSecret, message: String) -> Self {
        let (field, origin) = (named.field.clone(), named.origin.clone());
        Lack { code, field, origin, message, help: OF_RULES }
    }

    fn reference(reference: &AuthorityRef, message: String) -> Self {
        Lack {
            code: codes::UPSTREAM_UNVERIFIABLE,
            field: reference.field.clone(),
            origin: reference.origin.clone(),
            message,
            help: "put the CA certificates as PEM into `ca.crt` of a ConfigMap of the policy's namespace",
        }
    }

    fn unusable(rules: &TlsRules, reference: &AuthorityRef, is_there: bool, kind: &str) -> Self {
        let id = format!("{kind}/{}/{}", rules.namespace(), reference.name);
        let message = match is_there {
            true => format!("{id} has no usable `ca.crt`"),
            false => format!("there is no {id}"),
        };
        Lack::reference(reference, message)
    }

    fn report(&self, rules: &TlsRules, consequence: &str, findings: &mut Findings) {
        let Some(object) = &rules.object else { return };
        let spot = Spot { object, field: self.field.to_string(), origin: &self.origin };
        let help = format!("{}; {consequence}", self.help);
        findings.error(self.code, spot, self.message.clone(), &help);
    }
}

/// What is named, to be compared with what was named before.
struct Named<'r>(&'r TlsRules);

impl std::fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.certificate {
            Some(ClientCertificate::Files { chain, key }) => {
                write!(f, "{:?} {:?} ", chain.path, key.path)?;
            }
            Some(ClientCertificate::Secret(named)) => write!(f, "secret {} ", named.name)?,
            Some(ClientCertificate::OfGateway(named)) => write!(f, "secret {} ", named.id())?,
            Some(ClientCertificate::Mesh) => f.write_str("mesh ")?,
            None => {}
        }
        match &self.0.authorities {
            UpstreamAuthorities::Files { authorities, revocations } => {
                let lists = revocations.as_ref().map(|file| &file.path);
                write!(f, "{:?} {lists:?}", authorities.path)
            }
            UpstreamAuthorities::Secret(named) => write!(f, "secret {}", named.name),
            UpstreamAuthorities::References(references) => {
                let name = |each: &AuthorityRef| format!("{:?} {}", each.store, each.name);
                write!(f, "{:?}", references.iter().map(name).collect::<Vec<_>>())
            }
            UpstreamAuthorities::Nobody => f.write_str("nobody"),
            UpstreamAuthorities::System => f.write_str("system"),
            UpstreamAuthorities::Mesh => f.write_str("mesh"),
        }
    }
}
