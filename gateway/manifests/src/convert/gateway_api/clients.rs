//! Who vouches for the clients of an HTTPS listener (`spec.tls.frontend` of its Gateway).

use portcullis_crypto::{Demand, PeerRules};
use portcullis_model::{ListenerProtocol, ObjectId};

use super::super::findings::{Findings, Spot};
use super::parent::Refusal;
use super::references::{References, Referrer};
use crate::codes;
use crate::kinds::{
    ApiGateway, ApiListener, AuthoritySource, ClientRules, ClientValidation, CredentialName,
    ValidationMode,
};

const CONSEQUENCE: &str = "until then TLS handshakes for the listener's hosts are refused";

/// What is asked of a listener's clients; `None` for nothing.
pub(super) fn client_rules(
    gateway: &ApiGateway,
    listener: &ApiListener,
    references: &References<'_>,
    refusal: &mut Option<Refusal>,
    findings: &mut Findings,
) -> Option<ClientRules> {
    if listener.protocol != Some(ListenerProtocol::Https) {
        return None;
    }
    let validation = gateway.tls.validation(listener.port)?;
    let id = &gateway.metadata.id;
    let authorities = authorities(id, validation, references, refusal, findings);
    let demand = match validation.mode {
        ValidationMode::AllowValidOnly => Demand::Required,
        ValidationMode::AllowInsecureFallback => Demand::Fallback,
    };
    let (rules, origin) = (PeerRules::default(), validation.origin.clone());
    Some(ClientRules { demand, authorities, rules, origin })
}

/// All that are named have to be usable: half of the authorities is not what was meant.
fn authorities(
    gateway: &ObjectId,
    validation: &ClientValidation,
    references: &References<'_>,
    refusal: &mut Option<Refusal>,
    findings: &mut Findings,
) -> AuthoritySource {
    let from = Referrer { object: gateway, consequence: CONSEQUENCE };
    let mut names: Vec<CredentialName> = Vec::new();
    let mut secrets = 0;
    for reference in &validation.authorities {
        let Some(name) = references.authority(from, reference, refusal, findings) else {
            return AuthoritySource::Refused;
        };
        secrets += usize::from(reference.is_a("", "Secret"));
        names.push(name);
    }
    match (secrets, names.as_slice()) {
        (0, [_, ..]) => AuthoritySource::ConfigMaps(names),
        (1, [only]) => AuthoritySource::Secret(only.clone()),
        _ => {
            let field = format!("{}.caCertificateRefs", validation.field);
            let spot = Spot { object: gateway, field, origin: &validation.origin };
            let message = "several references are served where all are to ConfigMaps".to_owned();
            let help = format!("put the certificates into one object; {CONSEQUENCE}");
            findings.error(codes::VALUE_NOT_SERVED, spot, message, &help);
            AuthoritySource::Refused
        }
    }
}
