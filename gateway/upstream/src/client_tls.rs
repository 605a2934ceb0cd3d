//! TLS to an endpoint, compiled once for a cluster: whom it trusts, who it is, what it asks for.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_crypto::{CertificateFacts, handshake_failure, is_about_name, provider};
use portcullis_exchange::UpstreamTlsFacts;
use portcullis_model as model;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion};
use tokio::net::TcpStream;

use crate::caller::{Caller, Speaks};
use crate::endpoint::EndpointId;
use crate::failure::UpstreamFailure;
use crate::tls_sessions::sessions_with;
use crate::tls_stream::TlsStream;

/// How handshakes with the endpoints of a cluster are made.
pub(crate) struct ClientTls {
    config: ClientConfig,
    /// Asked for, or in place of an authority that there is not.
    server_name: ServerName<'static>,
    asks: Asks,
    mesh: model::Mesh,
    number: u64,
}

/// Which name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Always,
    UnlessAuthority,
}

impl ClientTls {
    /// Compiles the settings of a service's host. The number stands for them where sessions are kept.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(crate) fn compile(
        settings: &model::ClientTls,
        host: &str,
        number: u64,
    ) -> Result<Self, String> {
        let verifier = settings.verification.verifier().map_err(|error| error.to_string())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &settings.credential {
            Some(credential) => {
                let certified = SingleCertAndKey::from(credential.certified_key().clone());
                builder.with_client_cert_resolver(Arc::new(certified))
            }
            None => builder.with_no_client_auth(),
        };
        let (name, asks) = match &settings.server_name {
            model::UpstreamServerName::Fixed(name) => (&**name, Asks::Always),
            model::UpstreamServerName::Authority => (host, Asks::UnlessAuthority),
        };
        let server_name = ServerName::try_from(name.to_owned())
            // A service of any host has no name of its own.
            .or_else(|error| match asks {
                Asks::UnlessAuthority => ServerName::try_from("invalid").map_err(|_| error),
                Asks::Always => Err(error),
            })
            .map_err(|_| format!("`{name}` is no server name"))?;
        Ok(ClientTls { config, server_name, asks, mesh: settings.mesh, number })
    }

    /// Whether a connection proves the name of one authority alone.
    pub(crate) fn asks_for_authority(&self) -> bool {
        self.asks == Asks::UnlessAuthority
    }

    /// Makes a handshake.
    ///
    /// # Errors
    /// Names the reason: whom the endpoint failed to prove to be, or what it refuses.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        endpoint: EndpointId,
        speaks: Speaks,
        caller: &Caller<'_>,
    ) -> Result<(TlsStream, Arc<UpstreamTlsFacts>), UpstreamFailure> {
        let name = self.name_for(caller)?;
        let mut config = self.config.clone();
        config.resumption = sessions_with(self.number, endpoint);
        let protocols = offered(speaks, self.mesh);
        let session = ClientConnection::new_with_alpn(Arc::new(config), name, protocols)
            .map_err(|error| UpstreamFailure::Tls(handshake_failure(&error)))?;
        let connecting = TlsStream::connect(stream, session).await;
        let stream = connecting.map_err(|error| match self.chosen_authority(caller) {
            Some(_) if is_refused_for_name(&error) => {
                UpstreamFailure::NotOfThatName(reason_of(&error))
            }
            _ => UpstreamFailure::Tls(reason_of(&error)),
        })?;
        let facts = read_facts(stream.session())?;
        self.check_protocol(stream.session(), speaks)?;
        Ok((stream, facts))
    }

    fn name_for(&self, caller: &Caller<'_>) -> Result<ServerName<'static>, UpstreamFailure> {
        let Some(authority) = self.chosen_authority(caller) else {
            return Ok(self.server_name.clone());
        };
        let host = without_port(authority);
        let none = || UpstreamFailure::NotOfThatName("the authority is no server name".to_owned());
        ServerName::try_from(host.to_owned()).map_err(|_| none())
    }

    /// The authority whose name the endpoint has to prove: the client's choice.
    fn chosen_authority<'c>(&self, caller: &Caller<'c>) -> Option<&'c str> {
        caller.authority.filter(|_| self.asks_for_authority())
    }

    fn check_protocol(
        &self,
        session: &ClientConnection,
        speaks: Speaks,
    ) -> Result<(), UpstreamFailure> {
        let is_good = match (speaks, session.alpn_protocol()) {
            // A sidecar that picks `istio`, or none, still tells HTTP/2 by its preface.
            (Speaks::Http2, Some(protocol)) => protocol.ends_with(b"h2") || protocol == b"istio",
            (Speaks::Http2, None) => self.mesh == model::Mesh::Sidecar,
            (Speaks::Http1 | Speaks::Bytes, _) => true,
        };
        match is_good {
            true => Ok(()),
            false => Err(UpstreamFailure::Tls("the peer does not speak HTTP/2".to_owned())),
        }
    }
}

/// What is offered by ALPN. A sidecar takes a connection for one of the mesh by `istio-http/1.1` and its like, and
/// negotiates the plain name; `istio-peer-exchange` would have it talk about itself on the connection first, which
/// is for other proxies.
fn offered(speaks: Speaks, mesh: model::Mesh) -> Vec<Vec<u8>> {
    let protocols: &[&str] = match (speaks, mesh) {
        (Speaks::Http1, model::Mesh::Sidecar) => &["istio-http/1.1", "istio", "http/1.1"],
        (Speaks::Http2, model::Mesh::Sidecar) => &["istio-h2", "istio", "h2"],
        (Speaks::Bytes, model::Mesh::Sidecar) => &["istio"],
        (Speaks::Http1, model::Mesh::Outside) => &["http/1.1"],
        (Speaks::Http2, model::Mesh::Outside) => &["h2"],
        (Speaks::Bytes, model::Mesh::Outside) => &[],
    };
    protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

/// Reads the endpoint's certificate. A resumed session does not verify it again, so its time is looked at here.
fn read_facts(session: &ClientConnection) -> Result<Arc<UpstreamTlsFacts>, UpstreamFailure> {
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let peer = certificate.and_then(|certificate| CertificateFacts::read(certificate).ok());
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if peer.as_ref().is_some_and(|peer| now > peer.not_after) {
            return Err(UpstreamFailure::Tls("certificate expired since the session began".into()));
        }
    }
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    };
    Ok(Arc::new(UpstreamTlsFacts { version, peer }))
}

/// Why a handshake failed.
fn reason_of(error: &io::Error) -> String {
    match inside(error) {
        Some(error) => handshake_failure(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed during the handshake".to_owned()
        }
        None => format!("handshake broken off: {}", error.kind()),
    }
}

fn is_refused_for_name(error: &io::Error) -> bool {
    inside(error).is_some_and(is_about_name)
}

fn inside(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inside| inside.downcast_ref())
}

fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTls({:?}, {:?}, {:?})", self.server_name, self.asks, self.mesh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_the_port() {
        for (authority, name) in [
            ("shop.example", "shop.example"),
            ("shop.example:8443", "shop.example"),
            ("[::1]:8443", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(without_port(authority), name);
        }
    }

    #[test]
    fn names_of_sidecars_can_be_asked_for() {
        for name in ["outbound_.80_._.shop.svc.cluster.local", "outbound_.80_.v1_.reviews.shop"] {
            assert!(ServerName::try_from(name).is_ok(), "{name}");
        }
    }
}
