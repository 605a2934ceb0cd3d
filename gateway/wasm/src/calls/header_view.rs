//! Reading an exchange's heads as Proxy-Wasm's header maps, pseudo-headers first.

use http::{HeaderMap, StatusCode, header};
use portcullis_exchange::{Exchange, RequestHead, ResponseHead};

use crate::abi::Pair;
use crate::effects::Direction;
use crate::errands::Delivered;
use crate::state::Phase;

/// The header maps of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
    /// What a call brought.
    Delivered(DeliveredMap),
}

/// The maps that a call's result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveredMap {
    GrpcInitial,
    GrpcTrailing,
    ReplyHeaders,
    ReplyTrailers,
}

impl MapKind {
    /// The map with the ABI's number.
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(MapKind::RequestHeaders),
            1 => Some(MapKind::RequestTrailers),
            2 => Some(MapKind::ResponseHeaders),
            3 => Some(MapKind::ResponseTrailers),
            4 => Some(MapKind::Delivered(DeliveredMap::GrpcInitial)),
            5 => Some(MapKind::Delivered(DeliveredMap::GrpcTrailing)),
            6 => Some(MapKind::Delivered(DeliveredMap::ReplyHeaders)),
            7 => Some(MapKind::Delivered(DeliveredMap::ReplyTrailers)),
            _ => None,
        }
    }
}

impl MapKind {
    /// The callback that is about it; a call's result has none of its own.
    pub(super) fn phase(self) -> Phase {
        match self {
            MapKind::RequestHeaders => Phase::RequestHeaders,
            MapKind::RequestTrailers => Phase::RequestTrailers,
            MapKind::ResponseHeaders => Phase::ResponseHeaders,
            MapKind::ResponseTrailers => Phase::ResponseTrailers,
            MapKind::Delivered(_) => Phase::CallResponse,
        }
    }

    /// The half of a stream that it belongs to.
    pub(super) fn direction(self) -> Direction {
        match self {
            MapKind::RequestHeaders | MapKind::RequestTrailers => Direction::Request,
            _ => Direction::Response,
        }
    }
}

/// One map: up to four pseudo-headers and the fields.
pub(super) struct HeaderView<'a> {
    pseudo: [Option<Pair<'a>>; 4],
    fields: Option<&'a HeaderMap>,
}

impl<'a> HeaderView<'a> {
    /// The map of an exchange; `None` where the exchange has it not (yet).
    pub(super) fn of(exchange: &'a Exchange, kind: MapKind) -> Option<Self> {
        match kind {
            MapKind::RequestHeaders => Some(Self::request(&exchange.request)),
            MapKind::RequestTrailers => exchange.request_trailers.as_ref().map(Self::trailers),
            MapKind::ResponseHeaders => exchange.response.as_ref().map(Self::response),
            MapKind::ResponseTrailers => {
                exchange.response.as_ref()?.trailers.as_ref().map(Self::trailers)
            }
            MapKind::Delivered(_) => None,
        }
    }

    fn request(head: &'a RequestHead) -> Self {
        let pseudo = [
            Some((&b":authority"[..], head.authority.as_bytes())),
            Some((&b":path"[..], head.path.as_str().as_bytes())),
            Some((&b":method"[..], head.method.as_str().as_bytes())),
            Some((&b":scheme"[..], head.scheme.as_bytes())),
        ];
        HeaderView { pseudo, fields: Some(&head.headers) }
    }

    /// The map of what the running callback brings; `None` where it brings no such map.
    pub(super) fn delivered(delivered: &'a Delivered, map: DeliveredMap) -> Option<Self> {
        match map {
            DeliveredMap::GrpcInitial => delivered.grpc_initial.as_ref().map(Self::trailers),
            DeliveredMap::GrpcTrailing => delivered.grpc_trailing.as_ref().map(Self::trailers),
            DeliveredMap::ReplyTrailers => {
                delivered.reply.as_ref().map(|reply| Self::trailers(&reply.trailers))
            }
            DeliveredMap::ReplyHeaders => {
                let reply = delivered.reply.as_ref()?;
                Some(Self::with_status(&reply.status, &reply.headers))
            }
        }
    }

    fn response(head: &'a ResponseHead) -> Self {
        Self::with_status(&head.status, &head.headers)
    }

    fn with_status(status: &'a StatusCode, fields: &'a HeaderMap) -> Self {
        let status = Some((&b":status"[..], status.as_str().as_bytes()));
        HeaderView { pseudo: [status, None, None, None], fields: Some(fields) }
    }

    fn trailers(fields: &'a HeaderMap) -> Self {
        HeaderView { pseudo: [None; 4], fields: Some(fields) }
    }

    /// Every pair, in the order in which the guest sees them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair<'a>> + use<'a> {
        let fields = self.fields.into_iter().flat_map(HeaderMap::iter);
        let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        self.pseudo.into_iter().flatten().chain(fields)
    }

    /// How many pairs there are.
    pub(super) fn count(&self) -> usize {
        self.pseudo.iter().flatten().count() + self.fields.map_or(0, HeaderMap::len)
    }

    /// The first value of a name. `host` is another name of `:authority`, as in Envoy.
    pub(super) fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        let name = if self.has_authority() && name.eq_ignore_ascii_case(b"host") {
            b":authority"
        } else {
            name
        };
        if name.first() == Some(&b':') {
            let found = self.pseudo.iter().flatten().find(|(known, _)| *known == name);
            return found.map(|(_, value)| *value);
        }
        let name = std::str::from_utf8(name).ok()?;
        self.fields?.get(name).map(header::HeaderValue::as_bytes)
    }

    fn has_authority(&self) -> bool {
        matches!(self.pseudo, [Some((b":authority", _)), ..])
    }
}

/// How many fields a request's head has for the guest.
pub(crate) fn request_field_count(exchange: &Exchange) -> u32 {
    u32::try_from(exchange.request.headers.len() + 4).unwrap_or(u32::MAX)
}

/// How many fields a reply's head has for the guest.
pub(crate) fn response_field_count(exchange: &Exchange) -> u32 {
    let fields = exchange.response.as_ref().map_or(0, |response| response.headers.len() + 1);
    u32::try_from(fields).unwrap_or(u32::MAX)
}
