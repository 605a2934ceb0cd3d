//! Values in the rules of an AuthorizationPolicy: texts with a wildcard, paths, networks, ports, service accounts.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_filters::{AccessAction, PathTest, TextTest};

use crate::codes;
use crate::reader::Cursor;
use crate::report::Gravity;
use crate::written_path::{Behind, warn_of_lost_path, why_lost};

/// What rules are read for.
#[derive(Clone, Copy)]
pub(super) struct RuleReader<'r> {
    pub(super) action: AccessAction,
    /// The policy's namespace.
    pub(super) namespace: &'r Arc<str>,
}

/// So many rules has a policy at most, and so many values a list.
pub(super) const MOST: usize = 4096;
/// As in Istio.
const MOST_SERVICE_ACCOUNTS: usize = 16;
/// Likewise, in bytes.
const LONGEST_SERVICE_ACCOUNT: usize = 320;

/// Warns of a condition that cannot be decided.
pub(super) fn undecidable(field: &Cursor<'_>, message: &str) {
    let help = "remove it, or write it into a policy of the action DENY or ALLOW";
    field.report(Gravity::Warns, codes::CONDITION_UNDECIDABLE, message, help);
}

/// Texts with a wildcard at one end; none is empty.
pub(super) fn text_values(field: &Cursor<'_>) -> Vec<TextTest> {
    values(field, |item, text| {
        warn_of_star(item, text, "write a prefix or a suffix");
        Some(TextTest::parse(text))
    })
}

/// A `*` is a wildcard at one end alone.
fn warn_of_star(item: &Cursor<'_>, text: &str, help: &str) {
    let inside = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(text);
    if inside.contains('*') {
        let message =
            format!("only a `*` at one end of `{text}` is a wildcard; the other means itself");
        item.report(Gravity::Warns, codes::LITERAL_STAR, message, help);
    }
}

/// The values of a list of texts that are not empty.
fn values<T>(field: &Cursor<'_>, read: impl Fn(&Cursor<'_>, &str) -> Option<T>) -> Vec<T> {
    let mut values = Vec::new();
    for item in field.items() {
        match item.text() {
            Some("") => item.refuse("the value is empty", "write `*` for any value"),
            Some(text) => values.extend(read(&item, text)),
            None => {}
        }
    }
    if values.len() > MOST {
        field.refuse(format!("a list has at most {MOST} values"), "");
    }
    values
}

pub(super) fn paths(field: &Cursor<'_>) -> Vec<PathTest> {
    values(field, |item, text| match PathTest::parse(text) {
        Ok(test) => {
            check_path(item, text, &test);
            Some(test)
        }
        Err(error) => {
            item.refuse(format!("`{text}` is no template of paths: {error}"), "");
            None
        }
    })
}

/// A path begins with `/`, and is looked at without its query and in its canonical form.
fn check_path(item: &Cursor<'_>, text: &str, test: &PathTest) {
    let (path, behind) = match test {
        PathTest::Template(_) => (text.replace("{**}", "x").replace("{*}", "x"), Behind::Nothing),
        PathTest::Text(test) => {
            warn_of_star(item, text, "`{*}` is one segment, `{**}` any number: `/shops/{*}/items`");
            match test {
                TextTest::Present => return,
                TextTest::Exact(path) => (path.to_string(), Behind::Nothing),
                TextTest::Prefix(path) => (path.to_string(), Behind::Anything),
                TextTest::Suffix(end) => return check_end(item, end),
            }
        }
    };
    if !path.starts_with('/') {
        let what = "a path begins with `/`, so this matches none";
        item.report(Gravity::Warns, codes::NEVER_MATCHES, what, "begin it with `/`");
    } else {
        warn_of_lost_path(item, &path, behind);
    }
}

fn check_end(item: &Cursor<'_>, end: &str) {
    if let Some((_, help)) = why_lost(&format!("/x{end}"), Behind::Nothing) {
        let what = format!("no path in its canonical form ends with `{end}`");
        item.report(Gravity::Warns, codes::NEVER_MATCHES, what, help.replace("/x", ""));
    }
}

/// Addresses, and networks as `10.0.0.0/8`.
pub(super) fn networks(field: &Cursor<'_>) -> Vec<IpNet> {
    values(field, |item, text| {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if network.is_none() {
            let help = "write `192.0.2.1` or `10.0.0.0/8`";
            item.refuse(format!("`{text}` is neither an address nor a network"), help);
        }
        network.map(|network| network.trunc())
    })
}

/// Ports are texts here.
pub(super) fn ports(field: &Cursor<'_>) -> Vec<u16> {
    values(field, |item, text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
        if port.is_none() {
            item.refuse(format!("`{text}` is no port"), "write a number from 1 to 65535");
        }
        port
    })
}

/// `ACCOUNT` or `NAMESPACE/ACCOUNT`.
pub(super) fn service_accounts(field: &Cursor<'_>, own: &Arc<str>) -> Vec<(Box<str>, Box<str>)> {
    let accounts = values(field, |item, text| {
        let (namespace, name) = text.split_once('/').unwrap_or((own, text));
        let is_name = |text: &str| !text.is_empty() && !text.contains(['/', '*']);
        if text.len() > LONGEST_SERVICE_ACCOUNT || !is_name(namespace) || !is_name(name) {
            let help = "write `ACCOUNT` or `NAMESPACE/ACCOUNT`, without wildcards";
            item.refuse(format!("`{text}` is no service account"), help);
            return None;
        }
        Some((namespace.into(), name.into()))
    });
    if accounts.len() > MOST_SERVICE_ACCOUNTS {
        let message = format!("a list has at most {MOST_SERVICE_ACCOUNTS} service accounts");
        field.refuse(message, "write several sources");
    }
    accounts
}
