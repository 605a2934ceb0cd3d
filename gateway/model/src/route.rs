//! Rules: which requests, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use portcullis_filters::{DirectResponse, HeaderOperations, PathRewrite, Redirect};

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
    /// From the last byte of the request to the last of the reply; `None` is off.
    pub timeout: Option<Duration>,
    /// When a request is tried again.
    pub retries: RetryPolicy,
    /// Where copies of its requests go.
    pub mirrors: Vec<Mirror>,
    /// What it sets otherwise than its listener.
    pub overrides: RequestOverrides,
    /// The plugins that run on its requests beside its listener's, in running order.
    pub plugins: Vec<ObjectId>,
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
    /// The cluster; it may be missing from the model, which is 503 for its share of the weights.
    pub cluster: ClusterName,
    /// Its part of the sum of the weights.
    pub weight: u32,
    /// Operations on the request head, after the rule's.
    pub request_headers: HeaderOperations,
    /// Operations on the response head, before the rule's.
    pub response_headers: HeaderOperations,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestMatch {
    /// Where it is written.
    pub origin: Option<Origin>,
    /// On the path, without the query.
    pub path: Option<PathMatch>,
    /// On the method.
    pub method: Option<StringMatch>,
    /// On the authority, as written but for its case and port.
    pub authority: Option<StringMatch>,
    /// On header fields.
    pub headers: Vec<HeaderMatch>,
    /// A condition was written that is not served yet (`validate` warns): never matches.
    pub unserved: bool,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Equal.
    Exact(Box<str>),
    /// A raw string prefix, as Istio's `prefix`: `/foo` matches `/foobar`.
    Prefix(Box<str>),
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// Equal.
    Exact(Box<str>),
    /// Starts so.
    Prefix(Box<str>),
}

impl StringMatch {
    /// Whether a text fulfils it.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            StringMatch::Exact(wanted) => **wanted == *text,
            StringMatch::Prefix(prefix) => text.starts_with(&**prefix),
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

impl RequestMatch {
    /// Whether it holds for every request.
    pub fn is_catch_all(&self) -> bool {
        let any_path = match &self.path {
            None => true,
            Some(PathMatch::Prefix(prefix)) => **prefix == *"/",
            Some(PathMatch::Exact(_)) => false,
        };
        any_path
            && self.method.is_none()
            && self.authority.is_none()
            && self.headers.is_empty()
            && !self.unserved
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
    /// Whether it takes every request, so that what follows is never reached.
    pub fn is_catch_all(&self) -> bool {
        self.matches.is_empty() || self.matches.iter().any(RequestMatch::is_catch_all)
    }
}
