//! Rules: which requests, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{Method, StatusCode};
use portcullis_filters::{
    CorsPolicy, DirectResponse, ErrorBody, Fault, HeaderOperations, PathRewrite, Pattern,
    RateLimit, Redirect,
};

use crate::{ClusterName, Mirror, ObjectId, Origin, RequestOverrides, RetryPolicy};

/// One rule of a route, for instance one entry of a VirtualService's `http`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As the header `x-portcullis-route` shows it: `VirtualService/ns/name/http[2]`, or with the rule's
    /// name in the brackets.
    pub id: Arc<str>,
    /// Where it is written.
    pub origin: Origin,
    /// The rule applies where any of these does; none at all applies to every request.
    pub matches: Vec<RequestMatch>,
    /// What happens.
    pub action: Action,
    /// Operations on the request head.
    pub request_headers: HeaderOperations,
    /// Operations on the response head.
    pub response_headers: HeaderOperations,
    /// How those and its destinations' are put together.
    pub header_order: HeaderOrder,
    /// From the last byte of the request to the last of the reply; `None` is off.
    pub timeout: Option<Duration>,
    /// When a request is tried again; most rules share one.
    pub retries: Arc<RetryPolicy>,
    /// Where copies of its requests go.
    pub mirrors: Vec<Mirror>,
    /// What it sets otherwise than its listener; most rules share that they set nothing.
    pub overrides: Arc<RequestOverrides>,
    /// The plugins that run on its requests beside its listener's, in running order.
    pub plugins: Vec<ObjectId>,
    /// The native filters that run on its requests; few rules have any.
    pub filters: Option<Box<RuleFilters>>,
}

/// Nothing in a rule is unequal to itself, so that sharing one is enough to be equal.
impl Eq for Rule {}

/// The native filters of a rule, in running order. They run behind the plugins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFilters {
    /// Beyond it requests are answered; `Some(None)` is off, `None` leaves it to the listener.
    pub rate_limit: Option<Option<RateLimit>>,
    /// Answers preflight requests, and says in replies what is allowed.
    pub cors: Option<CorsPolicy>,
    /// Delays and aborts.
    pub fault: Option<Fault>,
    /// What the gateway's own replies show, by status; the first that fits. `None` leaves it to the listener.
    pub error_bodies: Option<Vec<ErrorBody>>,
}

/// How the header operations of a rule and of the destination that a request goes to are put together. On replies those
/// of the destination come first, but in [`HeaderOrder::OneList`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderOrder {
    /// On requests those of the rule come first (Gateway API).
    #[default]
    RuleFirst,
    /// On requests too those of the destination come first (Istio, of several destinations).
    DestinationFirst,
    /// They are one list, with the destination's last (Istio, of a single one).
    OneList,
}

/// What a rule does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sends it to one of these, drawn by weight.
    Forward {
        /// Where to; never empty.
        destinations: Vec<Destination>,
        /// `rewrite.uri`
        path_rewrite: Option<PathRewrite>,
        /// `rewrite.authority`
        authority_rewrite: Option<Box<str>>,
    },
    /// Sends the client elsewhere.
    Redirect(Redirect),
    /// Answers itself.
    DirectResponse(DirectResponse),
}

/// One weighted destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// The cluster; it may be missing from the model, which is an error for its share of the weights.
    pub cluster: ClusterName,
    /// Its part of the sum of the weights.
    pub weight: u32,
    /// Operations on the request head, in the rule's [`HeaderOrder`].
    pub request_headers: HeaderOperations,
    /// Operations on the response head, in the rule's [`HeaderOrder`].
    pub response_headers: HeaderOperations,
    /// What else is special about it; few destinations have any of it.
    pub change: Option<Box<DestinationChange>>,
}

/// What is done to the requests of one destination alone (filters of Gateway API's `backendRefs`, Istio's
/// `route.headers.request.set.host`). It comes in the place of what the rule says of the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationChange {
    /// Instead of sending them there.
    pub redirect: Option<Redirect>,
    /// The path.
    pub path_rewrite: Option<PathRewrite>,
    /// The authority.
    pub authority_rewrite: Option<Box<str>>,
    /// What requests get where the cluster does not exist; 503 unless said otherwise (Gateway API: 500).
    pub missing: Option<StatusCode>,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestMatch {
    /// Where it is written.
    pub origin: Option<Origin>,
    /// On the path, without the query.
    pub path: Option<PathMatch>,
    /// Whether the path's letters are compared as they are (`ignoreUriCase`; not for patterns).
    pub path_case: PathCase,
    /// On the scheme.
    pub scheme: Option<StringMatch>,
    /// On the method.
    pub method: Option<StringMatch>,
    /// On the authority, as written but for its case and port.
    pub authority: Option<StringMatch>,
    /// On header fields.
    pub headers: Vec<HeaderMatch>,
    /// None of these must hold (`withoutHeaders`).
    pub without_headers: Vec<HeaderMatch>,
    /// On parameters of the query.
    pub query: Vec<QueryMatch>,
    /// On claims of a verified token (`@request.auth.claims`).
    pub claims: Vec<ClaimMatch>,
    /// On the port of the listener.
    pub port: Option<u16>,
    /// Only on listeners of these Gateways, each as `ns/name`; none means those of the route.
    pub gateways: Vec<Arc<str>>,
    /// It was found that no request fulfils it.
    pub never: bool,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Equal.
    Exact(Box<str>),
    /// A raw string prefix, as Istio's `prefix`: `/foo` matches `/foobar`.
    Prefix(Box<str>),
    /// A prefix of whole segments, without a slash at its end (so empty for `/`): `/foo` matches `/foo` and
    /// `/foo/bar` (Gateway API's `PathPrefix`, Ingress's `Prefix`).
    Segments(Box<str>),
    /// Matches as a whole.
    Pattern(Pattern),
}

/// How the letters of a path are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathCase {
    /// As they are.
    #[default]
    Sensitive,
    /// Upper and lower case (of ASCII) are the same.
    Ignored,
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// Equal.
    Exact(Box<str>),
    /// Starts so.
    Prefix(Box<str>),
    /// Matches as a whole.
    Pattern(Pattern),
}

impl StringMatch {
    /// Whether a text fulfils it.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            StringMatch::Exact(wanted) => **wanted == *text,
            StringMatch::Prefix(prefix) => text.starts_with(&**prefix),
            StringMatch::Pattern(pattern) => pattern.matches(text),
        }
    }
}

/// A condition on a header field. It holds where one of the field's values fulfils it, never their join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// The field.
    pub name: HeaderName,
    /// What its value must be; `None` asks for presence alone (Istio's `{}`).
    pub value: Option<StringMatch>,
}

/// A condition on a parameter of the query, whose name and value are compared as they are written there. The first
/// of several with one name counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// The parameter.
    pub name: Box<str>,
    /// What its value must be; `None` asks for presence alone.
    pub value: Option<StringMatch>,
}

/// A condition on a claim of the request's verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMatch {
    /// The way to it, as `["realm", "roles"]`.
    pub path: Vec<Box<str>>,
    /// What it, or one of its items, must be; `None` asks for presence alone.
    pub value: Option<StringMatch>,
    /// Whether the condition is that this does not hold (`withoutHeaders`).
    pub sense: ClaimSense,
}

/// Whether a claim is to be so or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimSense {
    /// It has to be.
    #[default]
    Holds,
    /// It must not be.
    Fails,
}

impl RequestMatch {
    /// Whether it holds for every request.
    pub fn is_catch_all(&self) -> bool {
        self.is_catch_all_where_bound() && self.port.is_none() && self.gateways.is_empty()
    }

    /// Whether it holds for every request of the listeners that its port and Gateways are about.
    pub fn is_catch_all_where_bound(&self) -> bool {
        let any_path = match &self.path {
            None => true,
            Some(PathMatch::Prefix(prefix)) => **prefix == *"/",
            Some(PathMatch::Segments(prefix)) => prefix.is_empty(),
            Some(PathMatch::Pattern(pattern)) => [".*", "/.*"].contains(&pattern.as_str()),
            Some(PathMatch::Exact(_)) => false,
        };
        any_path && self.asks_of_a_request_only_its_path()
    }

    /// Whether nothing but the path is looked at.
    pub fn is_on_path_alone(&self) -> bool {
        self.asks_of_a_request_only_its_path() && self.port.is_none() && self.gateways.is_empty()
    }

    /// Whether nothing of a request but its path is looked at; the port and the Gateways are the listener's.
    pub fn asks_of_a_request_only_its_path(&self) -> bool {
        self.scheme.is_none()
            && self.method.is_none()
            && self.authority.is_none()
            && self.headers.is_empty()
            && self.without_headers.is_empty()
            && self.query.is_empty()
            && self.claims.is_empty()
            && !self.never
    }

    /// A condition on a method, for tests and other sources than files.
    pub fn method(method: &Method) -> Self {
        RequestMatch {
            method: Some(StringMatch::Exact(method.as_str().into())),
            ..RequestMatch::default()
        }
    }
}

impl Rule {
    /// One that takes every request and does with it what `action` says, and nothing else.
    pub fn new(id: Arc<str>, origin: Origin, action: Action) -> Self {
        Rule {
            id,
            origin,
            matches: Vec::new(),
            action,
            request_headers: HeaderOperations::default(),
            response_headers: HeaderOperations::default(),
            header_order: HeaderOrder::default(),
            timeout: None,
            retries: RetryPolicy::unwritten(),
            mirrors: Vec::new(),
            overrides: RequestOverrides::none(),
            plugins: Vec::new(),
            filters: None,
        }
    }

    /// One that takes every request and answers 200 with nothing.
    pub fn for_test(id: &str) -> Self {
        let nothing = DirectResponse { status: StatusCode::OK, body: Default::default() };
        Rule::new(id.into(), Origin::for_test(), Action::DirectResponse(nothing))
    }

    /// Whether it takes every request, so that what follows is never reached.
    pub fn is_catch_all(&self) -> bool {
        self.matches.is_empty() || self.matches.iter().any(RequestMatch::is_catch_all)
    }
}
