//! Certificates of a socket by server name.

use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::Listener;
use rustc_hash::FxHashMap;
use rustls::sign::CertifiedKey;

/// Which certificate a TLS client gets for the name that it asks for (SNI).
#[derive(Debug, Default)]
pub struct CertificateTable {
    exact: FxHashMap<Box<str>, Option<Arc<CertifiedKey>>>,
    suffix: FxHashMap<Box<str>, Option<Arc<CertifiedKey>>>,
    any: Option<Arc<CertifiedKey>>,
    only: Option<Arc<CertifiedKey>>,
}

impl CertificateTable {
    /// The table for the listeners of one socket. Where two listeners have the same host, the first wins.
    pub(crate) fn build(listeners: &[Arc<Listener>]) -> Self {
        let mut table = CertificateTable::default();
        let mut seen = 0;
        for listener in listeners {
            let Some(tls) = &listener.tls else { continue };
            let certificate =
                tls.credentials.first().map(|credential| credential.certified_key().clone());
            seen += 1;
            table.only = if seen == 1 { certificate.clone() } else { None };
            for host in &listener.hosts {
                table.add(host, certificate.clone());
            }
        }
        table
    }

    /// The certificate for a server name in lower case; `None` refuses the handshake.
    ///
    /// A name whose own listener has no certificate never falls back to a wider one. A client that names
    /// nobody gets the certificate for `*`, or the only one there is.
    pub fn find(&self, server_name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = server_name else { return self.any.as_ref().or(self.only.as_ref()) };
        if let Some(certificate) = self.exact.get(name) {
            return certificate.as_ref();
        }
        let mut rest = name;
        while let Some(dot) = rest.find('.') {
            let (_, suffix) = rest.split_at(dot);
            if let Some(certificate) = self.suffix.get(suffix) {
                return certificate.as_ref();
            }
            rest = suffix.strip_prefix('.').unwrap_or("");
        }
        self.any.as_ref()
    }

    fn add(&mut self, host: &HostPattern, certificate: Option<Arc<CertifiedKey>>) {
        match host {
            HostPattern::Any if self.any.is_none() => self.any = certificate,
            HostPattern::Any => {}
            HostPattern::Exact(name) => {
                self.exact.entry(name.clone()).or_insert(certificate);
            }
            HostPattern::Suffix(suffix) => {
                self.suffix.entry(suffix.clone()).or_insert(certificate);
            }
        }
    }
}
