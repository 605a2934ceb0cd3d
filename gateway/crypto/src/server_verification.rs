//! Verifying a server's certificate: a path to a trusted authority, revocation lists, names; and what is said where it
//! fails.

use std::fmt;
use std::sync::Arc;

use rustls::CertificateError::Other;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, DigitallySignedStruct, Error, InvalidMessage, OtherError, PeerIncompatible,
    SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::{CertificateFacts, ServerNames, TrustAnchors, TrustError, provider};

/// Whom a server has to prove to be.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerVerification {
    /// Nobody in particular: it has a certificate and its key, whoever vouches for it.
    Nobody,
    /// Whoever these authorities vouch for under one of these names.
    Verified {
        /// Who vouches for it.
        anchors: TrustAnchors,
        /// Which names its certificate has to have.
        names: ServerNames,
    },
}

impl ServerVerification {
    /// For rustls.
    ///
    /// # Errors
    /// Not where the anchors were read by [`TrustAnchors::from_pem`].
    pub fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
        let trust = match self {
            ServerVerification::Nobody => None,
            ServerVerification::Verified { anchors, names } => {
                Some(Trust::new(anchors, names.clone())?)
            }
        };
        Ok(Arc::new(Verifier { trust }))
    }
}

/// Why a handshake failed, in one line that names the reason.
pub fn handshake_failure(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(Other(OtherError(why))) => why.to_string(),
        Error::InvalidCertificate(error) => format!("certificate refused: {error}"),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the peer asks for a client certificate".to_owned()
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the peer speaks none of the protocols offered (ALPN)".to_owned()
        }
        Error::AlertReceived(alert) => format!("the peer refused: {alert:?}"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the peer does not speak TLS".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
            "the peer speaks no TLS version that is served".to_owned()
        }
        error => error.to_string(),
    }
}

/// Whether a handshake failed because the peer is not known by the name that was asked for.
pub fn is_about_name(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(Other(OtherError(why))) => {
            why.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.about == About::Name)
        }
        Error::AlertReceived(alert) => *alert == AlertDescription::UnrecognisedName,
        _ => false,
    }
}

/// Who is trusted.
struct Trust {
    anchors: TrustAnchors,
    revocations: Vec<CertRevocationList<'static>>,
    names: ServerNames,
}

impl Trust {
    fn new(anchors: &TrustAnchors, names: ServerNames) -> Result<Self, TrustError> {
        let read = |list: &rustls::pki_types::CertificateRevocationListDer<'_>| {
            OwnedCertRevocationList::from_der(list)
                .map(CertRevocationList::from)
                .map_err(|error| TrustError::Revocations(error.to_string()))
        };
        let revocations = anchors.revocations().iter().map(read).collect::<Result<_, _>>()?;
        Ok(Trust { anchors: anchors.clone(), revocations, names })
    }

    /// The path first, then the names: nothing of what an unknown authority says is looked at.
    fn verify(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        self.verify_path(der, intermediates, now)
            .map_err(|error| Refusal { why: reason(&error, der), about: About::Path })?;
        self.names.check(der, asked).map_err(|why| Refusal { why, about: About::Name })
    }

    fn verify_path(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let end = EndEntityCert::try_from(der)?;
        let lists: Vec<&CertRevocationList<'_>> = self.revocations.iter().collect();
        // Of the leaf's issuer there has to be a list that is in force; of the others where one is at hand.
        let strict = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let lenient = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_status_policy(UnknownStatusPolicy::Allow).build());
        for revocation in [strict].into_iter().chain(lenient.map(Some)) {
            end.verify_for_usage(
                provider().signature_verification_algorithms.all,
                &self.anchors.roots().roots,
                intermediates,
                now,
                KeyUsage::server_auth(),
                revocation,
                None,
            )?;
        }
        Ok(())
    }
}

/// Why a certificate has no good path.
fn reason(error: &webpki::Error, der: &CertificateDer<'_>) -> String {
    use webpki::Error as Path;
    let facts = CertificateFacts::read(der).ok();
    match (error, facts) {
        (Path::CertExpired { not_after, .. }, _) => {
            format!("certificate expired on {}", date(*not_after))
        }
        (Path::CertNotValidYet { not_before, .. }, _) => {
            format!("certificate is not valid before {}", date(*not_before))
        }
        (Path::UnknownIssuer | Path::CaUsedAsEndEntity, Some(facts))
            if facts.issuer == facts.subject =>
        {
            format!("self-signed certificate ({})", short(&facts.subject))
        }
        (Path::UnknownIssuer, Some(facts)) => {
            format!("certificate of an unknown authority ({})", short(&facts.issuer))
        }
        // Roots of one mesh often have the same name.
        (Path::InvalidSignatureForPublicKey, Some(facts)) => {
            format!(
                "certificate of an unknown authority ({}, with another key)",
                short(&facts.issuer)
            )
        }
        (Path::CertRevoked, Some(facts)) => format!("certificate revoked ({})", facts.serial),
        (Path::UnknownRevocationStatus, Some(facts)) => {
            format!("no revocation list of the certificate's issuer ({})", short(&facts.issuer))
        }
        (Path::CrlExpired { .. }, _) => "revocation list out of date".to_owned(),
        (Path::RequiredEkuNotFoundContext(_), _) => "certificate is not for servers".to_owned(),
        (error, _) => format!("certificate refused: {error}"),
    }
}

/// The day, in UTC.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = x509_parser::time::ASN1Time::from_timestamp(seconds);
    time.map_or_else(
        |_| seconds.to_string(),
        |time| {
            let (year, month, day) = time.to_datetime().to_calendar_date();
            format!("{year:04}-{:02}-{day:02}", u8::from(month))
        },
    )
}

fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Kept as text, to be told as it is.
#[derive(Debug)]
struct Refusal {
    why: String,
    about: About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Path,
    Name,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}

struct Verifier {
    /// `None` trusts everybody.
    trust: Option<Trust>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trust) = &self.trust {
            trust.verify(end_entity, intermediates, server_name, now).map_err(|refusal| {
                Error::InvalidCertificate(Other(OtherError(Arc::new(refusal))))
            })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trust {
            Some(trust) => write!(f, "Verifier({:?}, {:?})", trust.anchors, trust.names),
            None => f.write_str("Verifier(nobody)"),
        }
    }
}
