//! Who may attach: `allowedRoutes` of a listener, `allowedListeners` of a Gateway.

use portcullis_model::ListenerProtocol;

use super::label_selector::{LabelSelector, read_label_selector};
use super::object_ref::GROUP;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::choice;

/// From which namespaces.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Namespaces {
    All,
    /// That of the Gateway or ListenerSet itself.
    Same,
    None,
    Selected(LabelSelector),
}

/// The kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    Http,
    Grpc,
    Tls,
    Tcp,
}

/// Which routes a listener takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AllowedRoutes {
    pub(crate) namespaces: Namespaces,
    /// Of what is written or, where nothing is, of what the protocol carries.
    pub(crate) kinds: Vec<RouteKind>,
    /// Whether a kind is written that the listener cannot take.
    pub(crate) has_invalid_kinds: bool,
}

static ALLOWED_ROUTES: Schema = Schema {
    what: "`allowedRoutes`",
    served: &["namespaces", "kinds"],
    not_yet: &[],
    skipped: &[],
};
static ALLOWED_LISTENERS: Schema =
    Schema { what: "`allowedListeners`", served: &["namespaces"], not_yet: &[], skipped: &[] };
static NAMESPACES: Schema =
    Schema { what: "`namespaces`", served: &["from", "selector"], not_yet: &[], skipped: &[] };
static KIND: Schema =
    Schema { what: "a kind of routes", served: &["group", "kind"], not_yet: &[], skipped: &[] };

#[derive(Clone, Copy, PartialEq)]
enum From {
    All,
    Same,
    None,
    Selector,
}

impl RouteKind {
    /// The kind's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            RouteKind::Http => "HTTPRoute",
            RouteKind::Grpc => "GRPCRoute",
            RouteKind::Tls => "TLSRoute",
            RouteKind::Tcp => "TCPRoute",
        }
    }

    /// The kinds that a listener of this protocol can take.
    pub(crate) fn carried_by(protocol: Option<ListenerProtocol>) -> &'static [RouteKind] {
        match protocol {
            Some(ListenerProtocol::Http | ListenerProtocol::Https) => {
                &[RouteKind::Http, RouteKind::Grpc]
            }
            Some(ListenerProtocol::Tls) => &[RouteKind::Tls],
            Some(ListenerProtocol::Tcp) => &[RouteKind::Tcp],
            None => &[],
        }
    }
}

/// Reads `allowedRoutes` of a listener of this protocol; by default the routes of its own namespace.
pub(super) fn read_allowed_routes(
    listener: &Fields<'_>,
    protocol: Option<ListenerProtocol>,
) -> AllowedRoutes {
    let carried = RouteKind::carried_by(protocol);
    let mut allowed = AllowedRoutes {
        namespaces: Namespaces::Same,
        kinds: carried.to_vec(),
        has_invalid_kinds: false,
    };
    let field = listener.field("allowedRoutes");
    let Some(fields) = field.as_ref().and_then(|field| field.fields(&ALLOWED_ROUTES)) else {
        return allowed;
    };
    let words = [("All", From::All), ("Same", From::Same), ("Selector", From::Selector)];
    if let Some(field) = fields.field("namespaces") {
        allowed.namespaces = read_namespaces(&field, &words, Namespaces::Same);
    }
    if let Some(field) = fields.field("kinds").filter(|field| !field.is_empty_list()) {
        allowed.kinds.clear();
        for item in field.items() {
            match read_kind(&item, carried) {
                Some(kind) => allowed.kinds.push(kind),
                None => allowed.has_invalid_kinds = true,
            }
        }
    }
    allowed
}

/// Reads `allowedListeners` of a Gateway; by default no ListenerSet may attach.
pub(super) fn read_allowed_listeners(spec: &Fields<'_>) -> Namespaces {
    let field = spec.field("allowedListeners");
    let fields = field.as_ref().and_then(|field| field.fields(&ALLOWED_LISTENERS));
    let Some(field) = fields.as_ref().and_then(|fields| fields.field("namespaces")) else {
        return Namespaces::None;
    };
    let words = [
        ("All", From::All),
        ("Same", From::Same),
        ("Selector", From::Selector),
        ("None", From::None),
    ];
    read_namespaces(&field, &words, Namespaces::None)
}

fn read_namespaces(
    field: &Cursor<'_>,
    words: &[(&'static str, From)],
    otherwise: Namespaces,
) -> Namespaces {
    let Some(fields) = field.fields(&NAMESPACES) else { return Namespaces::None };
    let selector = fields.field("selector");
    let from = match fields.field("from") {
        Some(field) => match choice(&field, words) {
            Some(from) => from,
            None => return Namespaces::None,
        },
        None => {
            warn_of_selector(selector.as_ref());
            return otherwise;
        }
    };
    if from != From::Selector {
        warn_of_selector(selector.as_ref());
    }
    match from {
        From::All => Namespaces::All,
        From::Same => Namespaces::Same,
        From::None => Namespaces::None,
        From::Selector => match &selector {
            Some(field) => {
                read_label_selector(field).map_or(Namespaces::None, Namespaces::Selected)
            }
            None => {
                fields.missing("selector", "`from: Selector` needs the labels of the namespaces");
                Namespaces::None
            }
        },
    }
}

fn warn_of_selector(selector: Option<&Cursor<'_>>) {
    if let Some(field) = selector {
        let message = "`selector` has no effect here";
        field.report(Gravity::Warns, codes::NO_EFFECT, message, "write `from: Selector` with it");
    }
}

fn read_kind(item: &Cursor<'_>, carried: &[RouteKind]) -> Option<RouteKind> {
    let fields = item.fields(&KIND)?;
    let group = match fields.field("group") {
        Some(field) => field.text()?.to_owned(),
        None => GROUP.to_owned(),
    };
    let name = fields.required("kind").and_then(|field| field.text())?;
    let found = carried.iter().find(|kind| kind.as_str() == name && group == GROUP);
    if found.is_none() {
        let takes: Vec<&str> = carried.iter().map(|kind| kind.as_str()).collect();
        let help = match takes.join(", ") {
            none if none.is_empty() => "its protocol is not served".to_owned(),
            takes => {
                format!("by its protocol it can take: {takes}; the other kinds are not concerned")
            }
        };
        let message = format!("a listener of this protocol cannot take `{group}/{name}`");
        item.report(Gravity::Degrades, codes::BAD_VALUE, message, help);
    }
    found.copied()
}
