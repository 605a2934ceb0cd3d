//! What a VirtualService's rule does: `route`, `redirect`, `directResponse`, `delegate`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::uri::Scheme;
use portcullis_filters::{DirectResponse, Redirect, RedirectPath, RedirectPort};
use portcullis_model::Origin;

use super::delegate::{Delegate, read_delegate};
use super::header_operations::{Headers, read_headers};
use super::rewrite::read_path_rewrite;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{self, choice, port};

/// What a rule does, its destinations not looked up yet.
#[derive(Clone, Debug)]
pub(crate) enum RouteAction {
    Forward(Vec<RouteDestination>),
    Redirect(Box<Redirect>),
    DirectResponse(DirectResponse),
    /// Another VirtualService has the rules.
    Delegate(Box<Delegate>),
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
static REDIRECT: Schema = Schema {
    what: "a redirect",
    served: &["uri", "prefixRewrite", "authority", "port", "derivePort", "scheme", "redirectCode"],
    not_yet: &[],
    skipped: &[],
};
static DIRECT_RESPONSE: Schema =
    Schema { what: "a direct response", served: &["status", "body"], not_yet: &[], skipped: &[] };
static BODY: Schema =
    Schema { what: "a body", served: &["string", "bytes"], not_yet: &[], skipped: &[] };

/// Reads the action of a rule of this namespace.
pub(super) fn read_action(rule: &Fields<'_>, own: &Arc<str>) -> Option<RouteAction> {
    if rule.exclusive(&["route", "redirect", "directResponse", "delegate"]) {
        return None;
    }
    if let Some(field) = rule.field("redirect") {
        return read_redirect(&field.fields(&REDIRECT)?)
            .map(|redirect| RouteAction::Redirect(redirect.into()));
    }
    if let Some(field) = rule.field("directResponse") {
        let response = read_direct_response(&field.fields(&DIRECT_RESPONSE)?)?;
        return Some(RouteAction::DirectResponse(response));
    }
    if let Some(field) = rule.field("delegate") {
        return read_delegate(&field, own).map(|delegate| RouteAction::Delegate(delegate.into()));
    }
    let Some(field) = rule.field("route") else {
        rule.missing("route", "a rule needs one of route, redirect, directResponse, delegate");
        return None;
    };
    read_destinations(&field, &WEIGHTED).map(RouteAction::Forward)
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
        several => check_sum(field, several),
    }
    destinations.shrink_to_fit();
    Some(destinations)
}

/// Weights are proportions of their sum; what they sum to is said where it is not what percentages would.
fn check_sum(field: &Cursor<'_>, destinations: &[RouteDestination]) {
    let sum: u64 = destinations.iter().map(|destination| u64::from(destination.weight)).sum();
    if sum != 100 {
        field.report(
            Gravity::Warns,
            codes::WEIGHTS_SUM,
            format!("the weights sum to {sum}, not to 100; each is its share of the sum"),
            "let them sum to 100",
        );
    }
}

fn read_weighted(fields: &Fields<'_>) -> Option<RouteDestination> {
    let weight = fields.field("weight").and_then(|field| field.integer(0, i64::from(u32::MAX)));
    let headers = fields.field("headers").map(|field| read_headers(&field)).unwrap_or_default();
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

/// Istio's `RedirectPortSelection`.
const DERIVED_PORTS: [(&str, RedirectPort); 2] = [
    ("FROM_PROTOCOL_DEFAULT", RedirectPort::OfScheme),
    ("FROM_REQUEST_PORT", RedirectPort::OfListener),
];

fn read_redirect(fields: &Fields<'_>) -> Option<Redirect> {
    fields.exclusive(&["uri", "prefixRewrite"]);
    fields.exclusive(&["port", "derivePort"]);
    let derived = fields.field("derivePort").and_then(|field| choice(&field, &DERIVED_PORTS));
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
    let port = port.map(RedirectPort::This).or(derived).unwrap_or_default();
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
