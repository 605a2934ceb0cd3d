//! `when` of an AuthorizationPolicy: an attribute by its key, and its values.

use portcullis_filters::{AccessAction, AccessSense, AccessSubject, AccessTest, TextTest};

use super::access_values::{
    RuleReader, networks, ports, service_accounts, text_values, undecidable,
};
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::header_name;
use crate::suggest::closest;

static CONDITION: Schema = Schema {
    what: "a condition",
    served: &["key", "values", "notValues"],
    not_yet: &[],
    skipped: &[],
};

/// The keys without a name in brackets.
const KEYS: [&str; 11] = [
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

/// Reads a condition: a test for `values` and one for `notValues`.
pub(super) fn read_condition(item: &Cursor<'_>, reader: RuleReader<'_>) -> Vec<AccessTest> {
    let Some(fields) = item.fields(&CONDITION) else { return Vec::new() };
    let Some(key) = fields.required("key") else { return Vec::new() };
    let Some(text) = key.text() else { return Vec::new() };
    let Some(attribute) = Attribute::read(&key, text) else { return Vec::new() };
    attribute.warn(&key, reader);
    read_values(&fields, &attribute, reader)
}

fn read_values(
    fields: &Fields<'_>,
    attribute: &Attribute,
    reader: RuleReader<'_>,
) -> Vec<AccessTest> {
    let mut tests = Vec::new();
    for (name, sense) in [("values", AccessSense::OneOf), ("notValues", AccessSense::NoneOf)] {
        if let Some(field) = fields.field(name).filter(|field| !field.is_empty_list()) {
            tests.push(AccessTest { subject: attribute.subject(&field, reader), sense });
        }
    }
    if tests.is_empty() {
        fields.missing("values", "write `values` or `notValues`");
    }
    tests
}

/// What a key means.
enum Attribute {
    Plain(&'static str),
    Header(http::HeaderName),
    Claim(Vec<Box<str>>),
    Experimental,
}

impl Attribute {
    fn read(key: &Cursor<'_>, text: &str) -> Option<Self> {
        if let Some(plain) = KEYS.iter().find(|known| **known == text) {
            return Some(Attribute::Plain(plain));
        }
        if let Some(rest) = text.strip_prefix("request.headers") {
            return match brackets(rest).as_deref() {
                Some([name]) => header_name(key, name).map(Attribute::Header),
                _ => bad_brackets(key, "write `request.headers[NAME]`"),
            };
        }
        if let Some(rest) = text.strip_prefix("request.auth.claims") {
            return match brackets(rest) {
                Some(path) => Some(Attribute::Claim(path)),
                None => bad_brackets(
                    key,
                    "write `request.auth.claims[NAME]`, or with [NAME][NAME] the way to a nested claim",
                ),
            };
        }
        if text.starts_with("experimental.") {
            return Some(Attribute::Experimental);
        }
        let help = match closest(text, KEYS.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "write one of: {}, request.headers[NAME], request.auth.claims[NAME]",
                KEYS.join(", ")
            ),
        };
        key.refuse(format!("`{text}` is not known here"), help);
        None
    }

    fn warn(&self, key: &Cursor<'_>, reader: RuleReader<'_>) {
        let is_of_token = match self {
            Attribute::Claim(_) => true,
            Attribute::Plain(name) => name.starts_with("request.auth."),
            _ => false,
        };
        if matches!(self, Attribute::Experimental) {
            let message = match reader.action {
                AccessAction::Allow => {
                    "no filter here leaves such an attribute, so the rule matches nothing"
                }
                _ => "no filter here leaves such an attribute, so this counts as fulfilled",
            };
            undecidable(key, message);
        } else if is_of_token && reader.action == AccessAction::Custom {
            undecidable(key, "tokens are verified behind CUSTOM, so this counts as fulfilled");
        }
    }

    fn subject(&self, field: &Cursor<'_>, reader: RuleReader<'_>) -> AccessSubject {
        match self {
            Attribute::Header(name) => AccessSubject::Header(name.clone(), text_values(field)),
            Attribute::Claim(path) => AccessSubject::Claim(path.clone(), text_values(field)),
            Attribute::Experimental => {
                text_values(field);
                AccessSubject::Unknown
            }
            Attribute::Plain("source.serviceAccount") => {
                AccessSubject::ServiceAccount(service_accounts(field, reader.namespace))
            }
            Attribute::Plain(name) => plain_subject(name, field),
        }
    }
}

fn plain_subject(name: &str, field: &Cursor<'_>) -> AccessSubject {
    match name {
        "source.ip" => AccessSubject::PeerAddress(networks(field)),
        "remote.ip" => AccessSubject::ClientAddress(networks(field)),
        "destination.ip" => AccessSubject::OwnAddress(networks(field)),
        "destination.port" => AccessSubject::Port(ports(field)),
        "source.namespace" => AccessSubject::Namespace(text_values(field)),
        "source.principal" => AccessSubject::Principal(text_values(field)),
        "request.auth.principal" => AccessSubject::RequestPrincipal(text_values(field)),
        "request.auth.audiences" => claim("aud", text_values(field)),
        "request.auth.presenter" => claim("azp", text_values(field)),
        _ => AccessSubject::ServerName(text_values(field)),
    }
}

fn claim(name: &str, values: Vec<TextTest>) -> AccessSubject {
    AccessSubject::Claim(vec![name.into()], values)
}

/// `[a][b]`, each name not empty.
fn brackets(text: &str) -> Option<Vec<Box<str>>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<Box<str>> = inside.split("][").map(Into::into).collect();
    let whole = names.iter().all(|name| !name.is_empty() && !name.contains(['[', ']']));
    whole.then_some(names)
}

fn bad_brackets(key: &Cursor<'_>, help: &str) -> Option<Attribute> {
    key.refuse("the key names no attribute", help);
    None
}
