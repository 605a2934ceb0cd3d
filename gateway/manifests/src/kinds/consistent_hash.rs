//! `consistentHash` of a DestinationRule's load balancer.

use portcullis_model::{AffinityCookie, Balancer, HashKey, Ring};

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{duration, header_name};

static HASH: Schema = Schema {
    what: "a consistent hash",
    served: &[
        "httpHeaderName",
        "httpCookie",
        "useSourceIp",
        "httpQueryParameterName",
        "ringHash",
        "maglev",
        "minimumRingSize",
    ],
    not_yet: &[],
    skipped: &[],
};
static COOKIE: Schema = Schema {
    what: "a cookie",
    served: &["name", "path", "ttl", "attributes"],
    not_yet: &[],
    skipped: &[],
};
static ATTRIBUTE: Schema =
    Schema { what: "a cookie's attribute", served: &["name", "value"], not_yet: &[], skipped: &[] };
static RING_HASH: Schema =
    Schema { what: "a ring hash", served: &["minimumRingSize"], not_yet: &[], skipped: &[] };
static MAGLEV: Schema =
    Schema { what: "a maglev", served: &["tableSize"], not_yet: &[], skipped: &[] };

/// Entries of a ring where no size is written.
const RING_SIZE: u32 = 1024;
/// Entries of a ring at most, as in Envoy.
const LARGEST_RING: u32 = 8 << 20;
/// Entries of a table where no size is written.
const TABLE_SIZE: u32 = 65_537;
/// Entries of a table at most, as in Envoy.
const LARGEST_TABLE: u32 = 5_000_011;

/// Reads a `consistentHash`.
pub(super) fn read_consistent_hash(cursor: &Cursor<'_>) -> Option<Balancer> {
    let fields = cursor.fields(&HASH)?;
    fields.exclusive(&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"]);
    let ring = read_ring(&fields)?;
    let (key, is_readable) = read_key(&fields);
    if key.is_none() && is_readable {
        let message = "nothing is hashed, so requests are shared as by LEAST_REQUEST";
        let help =
            "write httpHeaderName, httpCookie, `useSourceIp: true` or httpQueryParameterName";
        cursor.report(Gravity::Warns, codes::NO_EFFECT, message, help);
    }
    Some(Balancer::Hash { key: key?, ring })
}

/// The key, and whether what is written of it could be read.
fn read_key(fields: &Fields<'_>) -> (Option<HashKey>, bool) {
    let key = if let Some(field) = fields.field("httpHeaderName") {
        field.text().and_then(|name| header_name(&field, name)).map(HashKey::Header)
    } else if let Some(field) = fields.field("httpCookie") {
        read_cookie(&field).map(HashKey::Cookie)
    } else if let Some(field) = fields.field("httpQueryParameterName") {
        not_empty(&field).map(|name| HashKey::Query(name.into()))
    } else if let Some(field) = fields.field("useSourceIp") {
        match field.boolean() {
            Some(false) => return (None, true),
            written => written.map(|_| HashKey::SourceAddress),
        }
    } else {
        return (None, true);
    };
    let is_readable = key.is_some();
    (key, is_readable)
}

fn read_cookie(field: &Cursor<'_>) -> Option<AffinityCookie> {
    let fields = field.fields(&COOKIE)?;
    let ttl = fields.field("ttl").and_then(|field| duration(&field));
    let path = fields.field("path");
    let path = path.as_ref().and_then(cookie_text).filter(|path| !path.is_empty());
    let mut attributes = Vec::new();
    if let Some(field) = fields.field("attributes") {
        attributes.extend(field.items().filter_map(|item| read_attribute(&item)));
    }
    let field = fields.required("name")?;
    let name = cookie_name(&field)?;
    Some(AffinityCookie { name: name.into(), path: path.map(Into::into), ttl, attributes })
}

fn read_attribute(item: &Cursor<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
    let fields = item.fields(&ATTRIBUTE)?;
    let value = fields.field("value");
    let value = value.as_ref().and_then(cookie_text).filter(|value| !value.is_empty());
    let field = fields.required("name")?;
    Some((cookie_name(&field)?.into(), value.map(Into::into)))
}

/// A token (RFC 6265), which is what a header field's name is.
fn cookie_name<'c>(field: &Cursor<'c>) -> Option<&'c str> {
    let text = field.text()?;
    if http::header::HeaderName::try_from(text).is_err() {
        field.refuse(format!("`{text}` is no name of a cookie or of its attribute"), "");
        return None;
    }
    Some(text)
}

/// What can stand behind a cookie's `=` without ending it.
fn cookie_text<'c>(field: &Cursor<'c>) -> Option<&'c str> {
    let text = field.text()?;
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b';') {
        field.refuse("no cookie can carry this", "write printable ASCII without `;`");
        return None;
    }
    Some(text)
}

fn read_ring(fields: &Fields<'_>) -> Option<Ring> {
    fields.exclusive(&["ringHash", "maglev", "minimumRingSize"]);
    if let Some(field) = fields.field("maglev") {
        let fields = field.fields(&MAGLEV)?;
        return fields
            .field("tableSize")
            .map_or(Some(Ring::Maglev(TABLE_SIZE)), |f| table_size(&f));
    }
    if let Some(field) = fields.field("ringHash") {
        let fields = field.fields(&RING_HASH)?;
        return fields
            .field("minimumRingSize")
            .map_or(Some(Ring::Ring(RING_SIZE)), |f| ring_size(&f));
    }
    let Some(field) = fields.field("minimumRingSize") else { return Some(Ring::Ring(RING_SIZE)) };
    let message = "`minimumRingSize` beside the key is deprecated";
    let help = "write it into `ringHash`, as which it is served";
    field.report(Gravity::Warns, codes::DEPRECATED, message, help);
    ring_size(&field)
}

fn ring_size(field: &Cursor<'_>) -> Option<Ring> {
    let size = u32::try_from(field.integer(0, LARGEST_RING.into())?).ok()?;
    Some(Ring::Ring(if size == 0 { RING_SIZE } else { size }))
}

fn table_size(field: &Cursor<'_>) -> Option<Ring> {
    let size = u32::try_from(field.integer(0, LARGEST_TABLE.into())?).ok()?;
    if size == 0 {
        return Some(Ring::Maglev(TABLE_SIZE));
    }
    if !is_prime(size) {
        let near = (size..=LARGEST_TABLE).find(|size| is_prime(*size)).unwrap_or(LARGEST_TABLE);
        field.refuse(format!("{size} is not a prime"), format!("the next prime is {near}"));
        return None;
    }
    Some(Ring::Maglev(size))
}

fn is_prime(number: u32) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|d| !number.is_multiple_of(d))
}

fn not_empty<'c>(field: &Cursor<'c>) -> Option<&'c str> {
    let text = field.text()?;
    if text.is_empty() {
        field.refuse("this may not be empty", "");
        return None;
    }
    Some(text)
}
