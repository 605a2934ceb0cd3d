//! Which names a server's certificate has to have.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

use crate::CertificateFacts;

/// How many of a certificate's names are told where none of them is right.
const MOST_TOLD: usize = 4;

/// Which names a server's certificate has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerNames {
    /// The one that it was asked for, a DNS name or an IP address.
    Asked,
    /// One of these: URIs (SPIFFE identities) to the letter, DNS names with wildcards in the certificate, IP addresses.
    OneOf(Arc<[Box<str>]>),
    /// One SPIFFE identity, whichever its authorities have given it.
    AnySpiffe,
}

impl ServerNames {
    /// Holds a certificate against them.
    ///
    /// # Errors
    /// Says which names it has.
    pub(crate) fn check(
        &self,
        der: &CertificateDer<'_>,
        asked: &ServerName<'_>,
    ) -> Result<(), String> {
        let facts = CertificateFacts::read(der).map_err(|error| error.to_string())?;
        let is_good = match self {
            ServerNames::Asked => is_valid_for(der, asked),
            ServerNames::OneOf(names) => names.iter().any(|name| has(der, &facts, name)),
            ServerNames::AnySpiffe => matches!(&*facts.uris, [uri] if is_spiffe(uri)),
        };
        if is_good { Ok(()) } else { Err(self.mismatch(&facts, asked)) }
    }

    fn mismatch(&self, facts: &CertificateFacts, asked: &ServerName<'_>) -> String {
        let wanted = match self {
            ServerNames::Asked => asked.to_str().into_owned(),
            ServerNames::OneOf(names) => listed(names.iter().map(|name| (**name).to_owned())),
            ServerNames::AnySpiffe => "one SPIFFE identity".to_owned(),
        };
        let addresses = facts.addresses.iter().map(ToString::to_string);
        let found = facts.uris.iter().chain(&facts.dns_names).cloned().chain(addresses);
        format!("certificate has the wrong name: wanted {wanted}, found {}", listed(found))
    }
}

fn has(der: &CertificateDer<'_>, facts: &CertificateFacts, name: &str) -> bool {
    facts.uris.iter().any(|uri| uri == name)
        || ServerName::try_from(name).is_ok_and(|name| is_valid_for(der, &name))
}

fn is_valid_for(der: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    EndEntityCert::try_from(der).is_ok_and(|end| end.verify_is_valid_for_subject_name(name).is_ok())
}

/// `spiffe://TRUST-DOMAIN/PATH`
fn is_spiffe(uri: &str) -> bool {
    let named = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    named.is_some_and(|(domain, path)| !domain.is_empty() && !path.is_empty())
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.take(MOST_TOLD + 1).collect();
    if names.len() > MOST_TOLD {
        names.truncate(MOST_TOLD);
        names.push("…".to_owned());
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
