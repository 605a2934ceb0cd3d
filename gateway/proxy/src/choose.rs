//! Choosing the listener, rule and destination of a request.

use std::sync::Arc;

use portcullis_exchange::{Exchange, HeadChange};
use portcullis_filters::MatchedPath;
use portcullis_message::normalise_host;
use portcullis_routing::{Aspects, RouteQuery};
use portcullis_snapshot::{CompiledListener, CompiledRule, SocketTable};

/// What the route table says of a request, as indexes into its socket's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The listener that takes the request's host.
    pub(crate) listener: Option<usize>,
    /// The rule and the part of the path that it matched.
    pub(crate) rule: Option<(usize, MatchedPath)>,
    /// What decided that.
    pub(crate) looked_at: Aspects,
}

/// Asks the route table. The rule's name goes into the exchange's record.
pub(crate) fn choose_route(table: &SocketTable, exchange: &mut Exchange) -> Choice {
    let request = &exchange.request;
    let host = normalise_host(request.authority_str());
    let query = RouteQuery {
        host: &host,
        scheme: request.scheme,
        method: &request.method,
        path: request.path.path(),
        query: request.path.query(),
        headers: &request.headers,
        claims: exchange.authenticated.as_deref().map(|who| &who.claims),
    };
    let route = table.routes.find_route(&query);
    let listener = match &route {
        Some(route) => Some(route.listener),
        None => table.routes.find_listener(&host),
    };
    let choice = Choice {
        listener,
        rule: route.map(|route| (route.rule_index, route.matched)),
        looked_at: route.map_or(Aspects::Fields, |route| route.looks_at),
    };
    exchange.gateway = choice.listener(table).map(|listener| listener.settings.gateway.clone());
    exchange.route = choice.rule(table).map(|rule| rule.rule.id.clone());
    exchange.head_change = HeadChange::Nothing;
    choice
}

impl Choice {
    /// Nothing is chosen yet.
    pub(crate) const NONE: Choice =
        Choice { listener: None, rule: None, looked_at: Aspects::Fields };

    /// Whether another rule may be right once so much of the head has changed.
    pub(crate) fn may_differ(&self, change: HeadChange) -> bool {
        match change {
            HeadChange::Nothing => false,
            HeadChange::Fields => self.looked_at == Aspects::Fields,
            HeadChange::Line => true,
        }
    }

    pub(crate) fn listener<'t>(&self, table: &'t SocketTable) -> Option<&'t CompiledListener> {
        table.listeners.get(self.listener?)
    }

    pub(crate) fn rule<'t>(&self, table: &'t SocketTable) -> Option<&'t CompiledRule> {
        table.rules.get(self.rule?.0).map(|rule| &**rule)
    }

    pub(crate) fn matched(&self) -> MatchedPath {
        self.rule.map_or(MatchedPath::Whole, |(_, matched)| matched)
    }
}

/// What a request holds of the snapshot beside its pin: the table of its socket.
pub(crate) type Table = Arc<SocketTable>;
