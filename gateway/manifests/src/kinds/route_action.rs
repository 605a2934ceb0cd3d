//! What a VirtualService's rule does: `route`, `redirect`, `directResponse`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::uri::Scheme;
use portcullis_filters::{DirectResponse, PathRewrite, Redirect, RedirectPath, RedirectPort};
use portcullis_model::Origin;

use super::header_operations::{Headers, read_headers};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{self, port};

/// What a rule does, its destinations not looked up yet.
#[derive(Clone, Debug)]
pub(crate) enum RouteAction {
    Forward {
        destinations: Vec<RouteDestination>,
        path_rewrite: Option<PathRewrite>,
        authority_rewrite: Option<Box<str>>,
    },
    Redirect(Redirect),
    DirectResponse(DirectResponse),
}

/// One entry of `route`.
#[derive(Clone, Debug)]
pub(crate) struct RouteDestination {
    /// Where the host is written.
    pub(crate) origin: Origin,
    pub(crate) host: Box<str>,
    pub(crate) subset: Box<str>,
    pub(crate) port: Option<u16>,
    pub(crate) weight: u32,
    pub(crate) headers: Headers,
}

static WEIGHTED: Schema = Schema {
    what: "a weighted destination",
    served: &["destination", "weight", "headers"],
    not_yet: &[],
    skipped: &[],
};
static DESTINATION: Schema = Schema {
    what: "a destination",
    served: &["host", "subset", "port"],
    not_yet: &[],
    skipped: &[],
};
static PORT: Schema =
    Schema { what: "a destination's port", served: &["number"], not_yet: &[], skipped: &[] };
static REWRITE: Schema = Schema {
    what: "a rewrite",
    served: &["uri", "authority"],
    not_yet: &["uriRegexRewrite"],
    skipped: &[],
};
static REDIRECT: Schema = Schema {
    what: "a redirect",
    served: &["uri", "prefixRewrite", "authority", "port", "scheme", "redirectCode"],
    not_yet: &["derivePort"],
    skipped: &[],
};
static DIRECT_RESPONSE: Schema =
    Schema { what: "a direct response", served: &["status", "body"], not_yet: &[], skipped: &[] };
static BODY: Schema =
    Schema { what: "a body", served: &["string", "bytes"], not_yet: &[], skipped: &[] };

/// Reads the action of a rule.
pub(crate) fn read_action(rule: &Fields<'_>) -> Option<RouteAction> {
    if rule.exclusive(&["route", "redirect", "directResponse", "delegate"]) {
        return None;
    }
    if let Some(field) = rule.field("redirect") {
        return read_redirect(&field.fields(&REDIRECT)?).map(RouteAction::Redirect);
    }
    if let Some(field) = rule.field("directResponse") {
        let response = read_direct_response(&field.fields(&DIRECT_RESPONSE)?)?;
        return Some(RouteAction::DirectResponse(response));
    }
    if let Some(field) = rule.field("delegate") {
        let help = "write the rules of the other VirtualService here";
        field.not_served(Gravity::Breaks, "`delegate` is known, but not served yet", help);
        return None;
    }
    let Some(field) = rule.field("route") else {
        rule.missing("route", "a rule needs one of route, redirect, directResponse");
        return None;
    };
    let destinations = read_destinations(&field, &WEIGHTED)?;
    let rewrite = rule.field("rewrite");
    let rewrite = rewrite.as_ref().and_then(|field| field.fields(&REWRITE));
    let uri = rewrite.as_ref().and_then(|rewrite| rewrite.field("uri"));
    let authority = rewrite.as_ref().and_then(|rewrite| rewrite.field("authority"));
    Some(RouteAction::Forward {
        destinations,
        path_rewrite: uri.and_then(|field| read_path_rewrite(&field)),
        authority_rewrite: authority.and_then(|field| scalars::authority(&field)),
    })
}

fn read_path_rewrite(field: &Cursor<'_>) -> Option<PathRewrite> {
    let text = field.text()?;
    if text.contains(['?', '#', ' ']) || text.bytes().any(|byte| byte.is_ascii_control()) {
        field.refuse(format!("`{text}` is no path"), "write a path without a query");
        return None;
    }
    Some(PathRewrite::Matched(text.into()))
}

/// Reads `route`, whose items have the fields of `schema`.
pub(crate) fn read_destinations(
    field: &Cursor<'_>,
    schema: &'static Schema,
) -> Option<Vec<RouteDestination>> {
    let mut destinations: Vec<_> = field
        .items()
        .filter_map(|item| item.fields(schema).and_then(|fields| read_weighted(&fields)))
        .collect();
    match destinations.as_mut_slice() {
        [] => {
            if field.is_empty_list() {
                field.refuse("a route without a destination goes nowhere", "");
            }
            return None;
        }
        // A single destination gets everything, whatever its weight.
        [single] => single.weight = single.weight.max(1),
        several if several.iter().all(|destination| destination.weight == 0) => {
            field.refuse("no destination has a weight", "give each one its `weight`");
        }
        _ => {}
    }
    Some(destinations)
}

fn read_weighted(fields: &Fields<'_>) -> Option<RouteDestination> {
    let weight = fields.field("weight").and_then(|field| field.integer(0, i64::from(u32::MAX)));
    let headers = fields.field("headers").map(|field| read_headers(&field)).unwrap_or_default();
    if headers.authority.is_some() {
        fields.cursor().not_served(
            Gravity::Warns,
            "setting the host of one destination is known, but not served yet",
            "set it on the rule, which applies to all its destinations",
        );
    }
    let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0);
    let destination = read_destination(&fields.required("destination")?)?;
    Some(RouteDestination { weight, headers, ..destination })
}

/// Reads a destination by itself: its weight is 0, and it changes no header.
pub(crate) fn read_destination(field: &Cursor<'_>) -> Option<RouteDestination> {
    let destination = field.fields(&DESTINATION)?;
    let number = destination.field("port");
    let number = number.as_ref().and_then(|field| field.fields(&PORT));
    let number = number.as_ref().and_then(|fields| port(&fields.required("number")?));
    let subset = destination.field("subset").and_then(|field| field.text()).unwrap_or_default();
    let host = destination.required("host")?;
    Some(RouteDestination {
        origin: host.origin(),
        host: host.text()?.to_ascii_lowercase().into(),
        subset: subset.into(),
        port: number,
        weight: 0,
        headers: Headers::default(),
    })
}

fn read_redirect(fields: &Fields<'_>) -> Option<Redirect> {
    fields.exclusive(&["uri", "prefixRewrite"]);
    fields.exclusive(&["port", "derivePort"]);
    let status = match fields.field("redirectCode") {
        Some(field) => read_redirect_code(&field)?,
        None => StatusCode::MOVED_PERMANENTLY,
    };
    let path = match (fields.field("uri"), fields.field("prefixRewrite")) {
        (Some(field), _) => RedirectPath::Replace(read_redirect_path(&field)?),
        (None, Some(field)) => RedirectPath::Prefix(read_path_rewrite(&field)?),
        (None, None) => RedirectPath::Keep,
    };
    let scheme = fields.field("scheme").and_then(|field| read_scheme(&field));
    let authority = fields.field("authority").and_then(|field| scalars::authority(&field));
    let port = fields.field("port").and_then(|field| port(&field));
    let port = port.map_or(RedirectPort::Kept, RedirectPort::This);
    Some(Redirect { status, scheme, authority, port, path })
}

fn read_redirect_code(field: &Cursor<'_>) -> Option<StatusCode> {
    let code = field.integer(0, 999)?;
    if ![301, 302, 303, 307, 308].contains(&code) {
        field.refuse(
            format!("{code} is no status of a redirect"),
            "write 301, 302, 303, 307 or 308",
        );
        return None;
    }
    u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok())
}

fn read_redirect_path(field: &Cursor<'_>) -> Option<Box<str>> {
    let text = field.text()?;
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path {
        field.refuse(
            format!("`{text}` is no path"),
            "begin it with `/`; scheme and host have fields of their own",
        );
        return None;
    }
    Some(text.into())
}

fn read_scheme(field: &Cursor<'_>) -> Option<Box<str>> {
    let scheme = field.text()?.parse::<Scheme>().ok();
    let scheme = scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if scheme.is_none() {
        field.refuse("the scheme has to be http or https", "");
    }
    scheme.map(|scheme| scheme.as_str().into())
}

fn read_direct_response(fields: &Fields<'_>) -> Option<DirectResponse> {
    let body = match fields.field("body") {
        Some(field) => read_body(&field.fields(&BODY)?)?,
        None => Bytes::new(),
    };
    let status = fields.required("status")?.integer(200, 599)?;
    let status = u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok())?;
    Some(DirectResponse { status, body })
}

fn read_body(fields: &Fields<'_>) -> Option<Bytes> {
    fields.exclusive(&["string", "bytes"]);
    if let Some(field) = fields.field("bytes") {
        let decoded = STANDARD.decode(field.text()?).ok();
        if decoded.is_none() {
            field.report(Gravity::Breaks, codes::BAD_VALUE, "this is not base64", "");
        }
        return decoded.map(Bytes::from);
    }
    let text = fields.field("string").and_then(|field| field.text()).unwrap_or_default();
    Some(Bytes::copy_from_slice(text.as_bytes()))
}
