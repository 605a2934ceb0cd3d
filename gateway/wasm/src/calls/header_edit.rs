//! Changing an exchange's heads for a guest. What a message's framing and the connection depend on stays
//! the gateway's: changes to it are accepted and have no effect.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode};
use portcullis_exchange::{Exchange, HeadChange, ResponseHead};

use super::header_view::MapKind;
use crate::abi::{Pair, Status};
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::capability_gate::admit_header_change;
use crate::effects::EndOfStream;
use crate::made_fields::MadeFields;
use crate::state::{GuestState, Phase};
use crate::strict_maps::is_at_hand;

/// A guest cannot make a map of more fields.
const MOST_FIELDS: usize = 1024;
/// Nor one that weighs more, in bytes of names and values: it lies outside of the guest's memory.
const MOST_BYTES: usize = 1 << 20;
/// What is smaller is not weighed: so many such fields are no more than that.
const LIGHT: usize = MOST_BYTES / MOST_FIELDS;

/// A map that may be changed now.
pub(super) enum HeadEdit<'a> {
    Request(&'a mut Exchange),
    Response(&'a mut ResponseHead),
    Trailers(&'a mut HeaderMap),
}

/// What happens to a name's earlier values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Kept,
    Replaced,
}

impl<'a> HeadEdit<'a> {
    /// What is under way in the callback that runs, or held of another stream; nothing else can still be changed.
    /// A head that has been sent on can be changed too, which then means nothing: SDKs panic on a refusal.
    pub(super) fn of(state: &'a mut GuestState, kind: MapKind) -> Result<Self, CallError> {
        admit_header_change(state)?;
        let refused = || bad_argument("this map cannot be changed in this callback");
        let direction = kind.direction();
        if state.means_connection() || state.means_what_runs() && !state.runs_half(direction) {
            return Err(refused());
        }
        if state.is_strict() && !is_at_hand(state, kind.phase()) {
            return Err(bad_argument("Envoy does not have this map in this callback"));
        }
        let may_add_trailers = state.end == EndOfStream::Yes
            && matches!(state.phase, Phase::RequestBody | Phase::ResponseBody);
        let exchange = state.exchange_of_mut(direction).ok_or_else(refused)?;
        let trailers = match kind {
            MapKind::RequestHeaders => return Ok(HeadEdit::Request(exchange)),
            MapKind::ResponseHeaders => {
                return exchange.response.as_mut().map(HeadEdit::Response).ok_or_else(refused);
            }
            MapKind::RequestTrailers => &mut exchange.request_trailers,
            MapKind::ResponseTrailers => {
                &mut exchange.response.as_mut().ok_or_else(refused)?.trailers
            }
            MapKind::Delivered(_) => return Err(refused()),
        };
        if trailers.is_none() && may_add_trailers {
            *trailers = Some(HeaderMap::new());
        }
        trailers.as_mut().map(HeadEdit::Trailers).ok_or_else(refused)
    }

    /// Sets or adds one field or pseudo-header. `made` are those that the plugin set before.
    pub(super) fn put(
        &mut self,
        (name, value): Pair<'_>,
        existing: Existing,
        made: &mut MadeFields,
    ) -> CallResult {
        if name.first() == Some(&b':') || self.is_host(name) {
            return self.put_pseudo(name, value);
        }
        let (name, value) = match field_of(made.field(name, value)) {
            Ok(field) => field,
            Err(refused) => {
                // None of a client's is left in the place of a plugin's.
                if existing == Existing::Replaced {
                    self.remove(name)?;
                }
                return Err(refused);
            }
        };
        if is_ours(&name) {
            return Ok(());
        }
        let fields = self.fields();
        // Not done, and said to be: SDKs panic on a refusal. A value that is replaced takes no room, so that none of
        // a client's is ever left in the place of a plugin's.
        let full = CallError::Refused(Status::Ok, "the map is full");
        let has_room = existing == Existing::Replaced && fields.contains_key(&name);
        if !has_room && fields.len() >= MOST_FIELDS {
            return Err(full);
        }
        if name.as_str().len() + value.len() > LIGHT {
            if existing == Existing::Replaced {
                fields.remove(&name);
            }
            if weight(fields) + name.as_str().len() + value.len() > MOST_BYTES {
                self.mark_changed();
                return Err(full);
            }
        }
        let put = match existing {
            Existing::Kept => fields.try_append(name, value).is_ok(),
            Existing::Replaced => fields.try_insert(name, value).is_ok(),
        };
        self.mark_changed();
        if put { Ok(()) } else { Err(full) }
    }

    /// Removes every value of a name. A pseudo-header stays: a head without one is no head.
    pub(super) fn remove(&mut self, name: &[u8]) -> CallResult {
        let Ok(name) = HeaderName::from_bytes(name) else { return Ok(()) };
        if !is_ours(&name) && self.fields().remove(&name).is_some() {
            self.mark_changed();
        }
        Ok(())
    }

    /// Puts pairs in the place of all fields; pseudo-headers not among them stay. Fields that cannot be are left out;
    /// nothing changes unless all pseudo-headers are good.
    pub(super) fn replace_all(&mut self, pairs: &[Pair<'_>]) -> CallResult {
        let mut fields = HeaderMap::with_capacity(pairs.len());
        let (mut pseudo, mut left_out) = (Vec::new(), Ok(()));
        for (name, value) in pairs {
            if name.first() == Some(&b':') || self.is_host(name) {
                pseudo.push((*name, *value));
                continue;
            }
            match field(name, value) {
                Ok((name, _)) if is_ours(&name) => {}
                Ok((name, value)) => drop(fields.append(name, value)),
                Err(refused) => left_out = Err(refused),
            }
        }
        for (name, value) in pseudo {
            self.put_pseudo(name, value)?;
        }
        let own = self.fields().iter().filter(|(name, _)| is_ours(name));
        for (name, value) in own {
            fields.append(name.clone(), value.clone());
        }
        *self.fields() = fields;
        self.mark_changed();
        left_out
    }

    fn fields(&mut self) -> &mut HeaderMap {
        match self {
            HeadEdit::Request(exchange) => &mut exchange.request.headers,
            HeadEdit::Response(head) => &mut head.headers,
            HeadEdit::Trailers(fields) => fields,
        }
    }

    fn mark_changed(&mut self) {
        if let HeadEdit::Request(exchange) = self {
            exchange.change_head(HeadChange::Fields);
        }
    }

    fn is_host(&self, name: &[u8]) -> bool {
        matches!(self, HeadEdit::Request(_)) && name.eq_ignore_ascii_case(b"host")
    }

    fn put_pseudo(&mut self, name: &[u8], value: &[u8]) -> CallResult {
        match self {
            HeadEdit::Request(exchange) => {
                put_request_pseudo(exchange, name, value)?;
                exchange.change_head(HeadChange::Line);
            }
            HeadEdit::Response(head) if name == b":status" => head.status = status(value)?,
            HeadEdit::Response(_) => return Err(bad_argument("a reply has no such pseudo-header")),
            HeadEdit::Trailers(_) => return Err(bad_argument("trailers have no pseudo-headers")),
        }
        Ok(())
    }
}

/// A field of a guest, valid or refused: CR, LF, NUL and what else no field may have. It is not set, and said to be:
/// SDKs panic on any other status, and then a client that has a say in a value could end the plugin.
pub(super) fn field(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), CallError> {
    field_of((HeaderName::from_bytes(name).ok(), HeaderValue::from_bytes(value).ok()))
}

fn field_of(
    made: (Option<HeaderName>, Option<HeaderValue>),
) -> Result<(HeaderName, HeaderValue), CallError> {
    let refused = |reason| CallError::Refused(Status::Ok, reason);
    let (name, value) = made;
    let name = name.ok_or(refused("a header's name has a character that no name may have"))?;
    let value = value.ok_or(refused("a header's value has a character that no value may have"))?;
    Ok((name, value))
}

/// What a map's names and values weigh, in bytes.
pub(super) fn weight(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Fields that the gateway sets itself when it sends a message.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::CONNECTION
            | header::UPGRADE
            | header::TRAILER
            | header::TE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn put_request_pseudo(exchange: &mut Exchange, name: &[u8], value: &[u8]) -> CallResult {
    let request = &mut exchange.request;
    match name {
        b":method" => {
            request.method =
                Method::from_bytes(value).map_err(|_| bad_argument("`:method` is no method"))?;
        }
        b":path" => request.path = path(value)?,
        b":scheme" => {
            request.scheme = match value {
                b"http" => "http",
                b"https" => "https",
                _ => return Err(bad_argument("`:scheme` is neither http nor https")),
            };
        }
        b":authority" | b"host" => request.authority = authority(value)?,
        _ if name.eq_ignore_ascii_case(b"host") => request.authority = authority(value)?,
        _ => return Err(bad_argument("a request has no such pseudo-header")),
    }
    Ok(())
}

pub(super) fn path(value: &[u8]) -> Result<PathAndQuery, CallError> {
    let is_path = value.first() == Some(&b'/') || value == b"*";
    // `http` would cut a fragment off; a path with blanks or raw bytes is none.
    let is_clean = value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !is_path || !is_clean {
        return Err(bad_argument("`:path` is no path"));
    }
    PathAndQuery::try_from(value).map_err(|_| bad_argument("`:path` is no path"))
}

pub(super) fn authority(value: &[u8]) -> Result<HeaderValue, CallError> {
    let refused = || bad_argument("`:authority` is no host");
    let authority = Authority::try_from(value).map_err(|_| refused())?;
    if authority.as_str().contains('@') {
        return Err(refused());
    }
    HeaderValue::from_bytes(value).map_err(|_| refused())
}

fn status(value: &[u8]) -> Result<StatusCode, CallError> {
    let status = StatusCode::from_bytes(value).ok().filter(|status| status.as_u16() >= 200);
    status.ok_or_else(|| bad_argument("`:status` is no final status"))
}
