//! `/certs`: every listener's certificates, and how long they last. Keys are never told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_crypto::{CertificateFacts, Credential};
use portcullis_model::{ClientAuth, Listener, TlsSettings};
use portcullis_telemetry::rfc3339;
use serde_json::{Value, json};

use crate::state::AdminState;

const DAY: i64 = 24 * 60 * 60;

/// A list with an entry for each listener that ends TLS.
pub(crate) fn certificates(state: &AdminState) -> Value {
    let snapshot = state.published.current();
    let now = now();
    let entries = snapshot.model.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref()?;
        Some(entry(listener, tls, now))
    });
    json!({ "certificates": entries.collect::<Vec<_>>() })
}

fn entry(listener: &Listener, tls: &TlsSettings, now: i64) -> Value {
    json!({
        "gateway": &*listener.gateway,
        "server": &*listener.server,
        "port": listener.port,
        "hosts": listener.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cert_chain": tls.credentials.iter().map(|each| credential(each, now)).collect::<Vec<_>>(),
        "client_certificates": client_certificates(&tls.client_auth),
    })
}

fn credential(credential: &Credential, now: i64) -> Value {
    match credential.facts() {
        Some(facts) => certificate(&facts, now),
        None => json!({ "unreadable": true }),
    }
}

/// The keys are Envoy's, where it has one.
fn certificate(facts: &CertificateFacts, now: i64) -> Value {
    let addresses = facts.addresses.iter().map(ToString::to_string);
    json!({
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial_number": facts.serial,
        "sha256": facts.sha256,
        "subject_alt_names": {
            "dns": facts.dns_names,
            "ip_address": addresses.collect::<Vec<_>>(),
            "uri": facts.uris,
            "email": facts.emails,
        },
        "valid_from": time(facts.not_before),
        "expiration_time": time(facts.not_after),
        // Of an expired one, how long ago, as a negative number.
        "days_until_expiration": facts.not_after.saturating_sub(now).div_euclid(DAY),
    })
}

fn client_certificates(auth: &ClientAuth) -> &'static str {
    match auth {
        ClientAuth::NotAsked => "not asked for",
        ClientAuth::Verified(_) => "verified",
        ClientAuth::Unverifiable => "nothing to verify them by: refused",
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 as `2026-01-31T12:00:00.000Z`.
fn time(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    // One that no clock can show comes from no honest authority.
    UNIX_EPOCH.checked_add(since).map_or_else(|| "never".to_owned(), rfc3339)
}
