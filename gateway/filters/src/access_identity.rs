//! The SPIFFE identities of a client's verified certificate: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.

use portcullis_exchange::Connection;

/// An identity without its scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'c>(&'c str);

/// The identities of a connection's client; none where it has no verified certificate.
pub(crate) fn identities(connection: &Connection) -> impl Iterator<Item = Identity<'_>> {
    let uris = connection.peer_certificate().map_or(&[][..], |facts| &facts.uris);
    uris.iter().filter_map(|uri| uri.strip_prefix("spiffe://").map(Identity))
}

impl<'c> Identity<'c> {
    /// `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`
    pub(crate) fn as_str(self) -> &'c str {
        self.0
    }

    /// The namespace.
    pub(crate) fn namespace(self) -> Option<&'c str> {
        self.service_account().map(|(namespace, _)| namespace)
    }

    /// Namespace and service account.
    pub(crate) fn service_account(self) -> Option<(&'c str, &'c str)> {
        let mut parts = self.0.split('/').skip(1);
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()) {
            ("ns", namespace, "sa", account, None) => Some((namespace, account)),
            _ => None,
        }
    }
}
