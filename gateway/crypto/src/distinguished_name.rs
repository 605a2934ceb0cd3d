//! Distinguished names as text, by RFC 2253 as OpenSSL and Envoy write it.

use std::fmt::Write as _;

use x509_parser::oid_registry::Oid;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Short names by object identifier, those of OpenSSL.
const NAMES: [(&str, &str); 16] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.46", "dnQualifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

/// The name with its most specific part first, as in `CN=a,O=b`. Printable ASCII alone: everything else is
/// escaped.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            match (index, text.is_empty()) {
                (0, true) => {}
                (0, false) => text.push(','),
                _ => text.push('+'),
            }
            write_attribute(&mut text, attribute);
        }
    }
    text
}

fn write_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let known = short_name(attribute.attr_type());
    match known {
        Some(name) => text.push_str(name),
        None => text.push_str(&attribute.attr_type().to_id_string()),
    }
    text.push('=');
    match attribute.as_str() {
        Ok(value) => write_escaped(text, value),
        // Strings of other encodings; OpenSSL shows those of unknown types so too.
        Err(_) => {
            text.push('#');
            write_hex(text, attribute.as_slice());
        }
    }
}

fn short_name(oid: &Oid<'_>) -> Option<&'static str> {
    let id = oid.to_id_string();
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

fn write_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let is_edge_blank = byte == b' ' && (index == 0 || index == last);
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(byte.into());
            }
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if is_edge_blank => text.push_str("\\ "),
            b' '..=b'~' => text.push(byte.into()),
            _ => {
                // Writing to a String does not fail.
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

fn write_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_name_is_escaped() {
        let escaped = |value: &str| {
            let mut text = String::new();
            write_escaped(&mut text, value);
            text
        };
        assert_eq!(escaped("a,b+c"), "a\\,b\\+c");
        assert_eq!(escaped("say \"hi\"; \\"), "say \\\"hi\\\"\\; \\\\");
        assert_eq!(escaped("#1 "), "\\#1\\ ");
        assert_eq!(escaped("M\u{fc}ller\r\n\0"), "M\\C3\\BCller\\0D\\0A\\00");
    }
}
