//! The way of one exchange past the filter, as Envoy goes it: what a pause holds back, what a reply does.

use std::collections::VecDeque;
use std::rc::Rc;

use super::direction::{Direction, Halt, Piece};
use super::instance::Instance;
use super::message::Message;
use crate::abi::StreamKind;
use crate::host::{Headers, LocalReply, Reach, Stream, with_state};

/// One exchange.
pub(crate) struct Passage {
    pub(crate) context: u32,
    pub(crate) instance: Rc<Instance>,
    pub(crate) request: Direction,
    pub(crate) response: Direction,
    pub(crate) reply: Option<LocalReply>,
    pub(crate) is_closed: bool,
    /// The client is gone or has all it gets; the filter may still want time.
    is_finishing: bool,
    pub(crate) is_gone: bool,
}

/// What a filter asked for while it was called.
enum Asked {
    Close,
    Reply(LocalReply),
    Resume(StreamKind),
    Nothing,
}

impl Passage {
    /// Begins a request with its headers; nothing has been delivered yet.
    pub(crate) fn begin(instance: Rc<Instance>, headers: Headers) -> Self {
        let root = instance.root();
        let context = with_state(|state| {
            let context = state.new_context();
            let mut stream = Stream::new(root);
            stream.request.headers.content = headers;
            state.streams.insert(context, stream);
            context
        });
        instance.call(context, |guest| guest.on_context_create(context, root));
        Passage {
            context,
            instance,
            request: Direction::new(StreamKind::Request, context),
            response: Direction::new(StreamKind::Response, context),
            reply: None,
            is_closed: false,
            is_finishing: false,
            is_gone: false,
        }
    }

    /// Goes on as far as it goes.
    pub(crate) fn settle(&mut self) {
        while !self.is_gone && self.instance.trapped().is_none() {
            match self.take_asked() {
                Asked::Close => self.close(),
                Asked::Reply(reply) => self.answer(reply),
                Asked::Resume(kind) => self.direction(kind).release(),
                Asked::Nothing if self.is_finishing => return self.conclude_when_done(),
                Asked::Nothing if self.is_closed => return,
                Asked::Nothing => {
                    if !self.deliver_next() {
                        return;
                    }
                }
            }
        }
    }

    fn deliver_next(&mut self) -> bool {
        self.request.deliver_next(&self.instance) || self.response.deliver_next(&self.instance)
    }

    fn take_asked(&mut self) -> Asked {
        let context = self.context;
        with_state(|state| {
            let Some(stream) = state.streams.get_mut(&context) else { return Asked::Nothing };
            if std::mem::take(&mut stream.closed) {
                return Asked::Close;
            }
            if let Some(reply) = stream.reply.take() {
                return Asked::Reply(reply);
            }
            for kind in [StreamKind::Request, StreamKind::Response] {
                if std::mem::take(&mut stream.half(kind).resumed) {
                    return Asked::Resume(kind);
                }
            }
            Asked::Nothing
        })
    }

    pub(crate) fn direction(&mut self, kind: StreamKind) -> &mut Direction {
        match kind {
            StreamKind::Request => &mut self.request,
            StreamKind::Response => &mut self.response,
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.request.stop();
        self.response.stop();
    }

    /// The filter's own response callbacks run on its reply, unless it was given in one of them. A response that has
    /// begun to leave cannot be replaced any more: it is cut.
    fn answer(&mut self, reply: LocalReply) {
        self.request.stop();
        if self.response.passed.is_some() {
            return self.close();
        }
        let (headers, body) = (headers_of(&reply), reply.body.clone());
        self.reply = Some(reply);
        if self.response.has_begun {
            self.response.stop();
            let trailers = Headers::new();
            self.response.passed = Some(Message { headers, body, trailers, is_complete: true });
        } else {
            let pieces = Piece::of_message(vec![body], None);
            self.respond(headers, pieces);
        }
    }

    /// Begins the response.
    pub(crate) fn respond(&mut self, headers: Headers, pieces: VecDeque<Piece>) {
        let context = self.context;
        with_state(|state| {
            if let Some(stream) = state.streams.get_mut(&context) {
                stream.response.headers.content = headers;
            }
        });
        self.response.arriving = pieces;
    }

    /// Whether something is held back by the filter.
    pub(crate) fn is_waiting(&self) -> bool {
        [&self.request, &self.response].iter().any(|direction| direction.halt != Halt::None)
    }

    /// The end of the exchange, in whatever state it is.
    pub(crate) fn finish(&mut self) {
        if self.is_finishing || self.is_gone {
            return;
        }
        self.request.stop();
        self.response.stop();
        let context = self.context;
        match self.instance.call(context, |guest| guest.on_done(context)) {
            Some(false) => self.is_finishing = true,
            _ => self.conclude(),
        }
    }

    fn conclude_when_done(&mut self) {
        let context = self.context;
        if with_state(|state| state.streams.get(&context).is_some_and(|stream| stream.done)) {
            self.conclude();
        }
    }

    /// Everything is readable once more while it is logged.
    fn conclude(&mut self) {
        let context = self.context;
        self.is_gone = true;
        with_state(|state| {
            if let Some(stream) = state.streams.get_mut(&context) {
                stream.request.headers.reach = Reach::Read;
                stream.response.headers.reach = Reach::Read;
                stream.response.trailers.reach = Reach::Read;
            }
        });
        self.instance.call(context, |guest| guest.on_log(context));
        self.instance.call(context, |guest| guest.on_delete(context));
        with_state(|state| state.streams.remove(&context));
    }
}

/// As Envoy: length and type of a body are told where the filter does not tell them.
fn headers_of(reply: &LocalReply) -> Headers {
    let mut headers = vec![(":status".to_owned(), reply.status.to_string().into_bytes())];
    headers.extend(reply.headers.iter().cloned());
    if !reply.body.is_empty() {
        let length = reply.body.len().to_string().into_bytes();
        for (name, value) in [("content-length", length), ("content-type", b"text/plain".to_vec())]
        {
            if !headers.iter().any(|(found, _)| found == name) {
                headers.push((name.to_owned(), value));
            }
        }
    }
    headers
}
