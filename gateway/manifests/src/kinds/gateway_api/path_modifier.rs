//! `requestRedirect` and `urlRewrite`: where a request goes instead, or what its path becomes.

use http::StatusCode;
use portcullis_filters::{PathRewrite, Redirect, RedirectPath, RedirectPort};

use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::{choice, port};

/// What `urlRewrite` changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UrlRewrite {
    pub(super) authority: Option<Box<str>>,
    pub(super) path: Option<PathRewrite>,
}

static REDIRECT: Schema = Schema {
    what: "a redirect",
    served: &["scheme", "hostname", "path", "port", "statusCode"],
    not_yet: &[],
    skipped: &[],
};
static REWRITE: Schema =
    Schema { what: "a rewrite", served: &["hostname", "path"], not_yet: &[], skipped: &[] };
static PATH: Schema = Schema {
    what: "a path modifier",
    served: &["type", "replaceFullPath", "replacePrefixMatch"],
    not_yet: &[],
    skipped: &[],
};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
const LONGEST: usize = 1024;

#[derive(Clone, Copy, PartialEq)]
enum Modifier {
    Whole,
    Prefix,
}

/// Reads a redirect. Without a port it goes to that of the scheme written, else to that of the listener.
pub(super) fn read_redirect(field: &Cursor<'_>) -> Option<Redirect> {
    let fields = field.fields(&REDIRECT)?;
    let scheme = match fields.field("scheme") {
        Some(field) => Some(choice(&field, &[("http", "http"), ("https", "https")])?),
        None => None,
    };
    let port = match fields.field("port") {
        Some(field) => RedirectPort::This(port(&field)?),
        None if scheme.is_some() => RedirectPort::OfScheme,
        None => RedirectPort::OfListener,
    };
    let status = match fields.field("statusCode") {
        Some(field) => read_status(&field)?,
        None => StatusCode::FOUND,
    };
    let path = match fields.field("path") {
        Some(field) => RedirectPath::Prefix(read_path(&field)?),
        None => RedirectPath::Keep,
    };
    let authority = read_hostname(&fields)?;
    Some(Redirect { status, scheme: scheme.map(Into::into), authority, port, path })
}

/// Reads a rewrite.
pub(super) fn read_url_rewrite(field: &Cursor<'_>) -> Option<UrlRewrite> {
    let fields = field.fields(&REWRITE)?;
    let path = match fields.field("path") {
        Some(field) => Some(read_path(&field)?),
        None => None,
    };
    Some(UrlRewrite { authority: read_hostname(&fields)?, path })
}

/// The outer `None` for one that cannot be used.
fn read_hostname(fields: &Fields<'_>) -> Option<Option<Box<str>>> {
    let Some(field) = fields.field("hostname") else { return Some(None) };
    let text = field.text()?;
    match portcullis_message::HostPattern::parse(text) {
        Ok(portcullis_message::HostPattern::Exact(name)) => Some(Some(name)),
        _ => {
            field.refuse(format!("`{text}` is no hostname"), "write a name without a port");
            None
        }
    }
}

fn read_status(field: &Cursor<'_>) -> Option<StatusCode> {
    let number = field.integer(100, 599)?;
    let known = u16::try_from(number).ok().filter(|number| STATUSES.contains(number));
    if known.is_none() {
        field.refuse(format!("{number} redirects nothing"), "write 301, 302, 303, 307 or 308");
    }
    known.and_then(|number| StatusCode::from_u16(number).ok())
}

fn read_path(field: &Cursor<'_>) -> Option<PathRewrite> {
    let fields = field.fields(&PATH)?;
    let words = [("ReplaceFullPath", Modifier::Whole), ("ReplacePrefixMatch", Modifier::Prefix)];
    let modifier = choice(&fields.required("type")?, &words)?;
    let (own, other) = match modifier {
        Modifier::Whole => ("replaceFullPath", "replacePrefixMatch"),
        Modifier::Prefix => ("replacePrefixMatch", "replaceFullPath"),
    };
    if let Some(field) = fields.field(other) {
        field.refuse(format!("`{other}` does not belong to this type"), format!("write `{own}`"));
        return None;
    }
    let field = fields.required(own)?;
    let text = field.text()?;
    let is_path = text.is_empty()
        || text.starts_with('/')
            && text.len() <= LONGEST
            && !text.contains(['?', '#'])
            && text.parse::<http::uri::PathAndQuery>().is_ok();
    if !is_path {
        let help = "it begins with `/` and has no query; at most 1024 bytes";
        field.refuse(format!("`{text}` is no path"), help);
        return None;
    }
    Some(match modifier {
        Modifier::Whole => PathRewrite::Whole(text.into()),
        Modifier::Prefix => PathRewrite::Matched(text.into()),
    })
}
