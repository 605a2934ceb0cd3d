//! Protocol versions and cipher suites of a Gateway's server.

use portcullis_crypto::{
    SuiteName, Tls12Suite, TlsParameters, TlsVersions, cipher_suite, served_suites,
};

use crate::reader::{Cursor, Fields};
use crate::report::Gravity;
use crate::scalars::choice;
use crate::suggest::closest;

/// As `minProtocolVersion` and `maxProtocolVersion` write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

const VERSIONS: [(&str, Option<Version>); 5] = [
    ("TLS_AUTO", None),
    ("TLSV1_0", Some(Version::Tls10)),
    ("TLSV1_1", Some(Version::Tls11)),
    ("TLSV1_2", Some(Version::Tls12)),
    ("TLSV1_3", Some(Version::Tls13)),
];

/// Reads both; `None` where nothing could be negotiated. TLS 1.2 is the least version, whatever is written.
pub(super) fn read_parameters(tls: &Fields<'_>) -> Option<TlsParameters> {
    let versions = read_versions(tls)?;
    let suites = match tls.field("cipherSuites") {
        Some(field) => read_suites(&field, versions)?,
        None => Vec::new(),
    };
    Some(TlsParameters { versions, suites })
}

fn read_versions(tls: &Fields<'_>) -> Option<TlsVersions> {
    let (least_field, most_field) =
        (tls.field("minProtocolVersion"), tls.field("maxProtocolVersion"));
    let version = |field: &Option<Cursor<'_>>, otherwise| match field {
        Some(field) => choice(field, &VERSIONS).map(|written| written.unwrap_or(otherwise)),
        None => Some(otherwise),
    };
    let least = version(&least_field, Version::Tls12)?;
    let most = version(&most_field, Version::Tls13)?;
    if let Some(field) = most_field.as_ref().filter(|_| most < Version::Tls12) {
        field.refuse("TLS 1.0 and 1.1 are broken and not served", "write TLSV1_2 or TLSV1_3");
        return None;
    }
    if let Some(field) = most_field.as_ref().or(least_field.as_ref()).filter(|_| least > most) {
        field.refuse("minProtocolVersion is above maxProtocolVersion", "");
        return None;
    }
    if let Some(field) = least_field.as_ref().filter(|_| least < Version::Tls12) {
        field.not_served(
            Gravity::Warns,
            "TLS 1.0 and 1.1 are broken and not served",
            "clients get TLS 1.2 or 1.3; write TLSV1_2",
        );
    }
    Some(match (least, most) {
        (Version::Tls13, _) => TlsVersions::Only13,
        (_, Version::Tls13) => TlsVersions::Both,
        _ => TlsVersions::Only12,
    })
}

fn read_suites(field: &Cursor<'_>, versions: TlsVersions) -> Option<Vec<Tls12Suite>> {
    let mut suites = Vec::new();
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        // Envoy writes suites of one rank as `[A|B]`.
        let names = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        for name in names.unwrap_or(text).split('|') {
            suites.extend(read_suite(&item, name.trim()));
        }
    }
    if versions == TlsVersions::Only13 {
        field.not_served(
            Gravity::Warns,
            "cipher suites are chosen for TLS 1.2 alone, which is not served here",
            "remove them; those of TLS 1.3 are always allowed",
        );
    } else if suites.is_empty() && !field.is_empty_list() {
        let help = format!("name some of: {}", served_suites().collect::<Vec<_>>().join(", "));
        field.refuse("none of the cipher suites is served", help);
        return None;
    }
    Some(suites)
}

fn read_suite(item: &Cursor<'_>, name: &str) -> Option<Tls12Suite> {
    match cipher_suite(name) {
        SuiteName::Served(suite) => return Some(suite),
        SuiteName::Tls13 => {}
        SuiteName::Weak => item.not_served(
            Gravity::Warns,
            format!(
                "`{name}` has no forward secrecy or no authenticated encryption, and is not served"
            ),
            "clients get the other suites",
        ),
        SuiteName::Unknown => {
            let help = match closest(name, served_suites()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", served_suites().collect::<Vec<_>>().join(", ")),
            };
            item.refuse(format!("`{name}` is no cipher suite"), help);
        }
    }
    None
}
