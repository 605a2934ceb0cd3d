//! A request or a response on its way through the filter: its head, then its body as far as the filter reads it.

use std::rc::Rc;

use crate::abi::{BufferKind, MapKind, StreamKind};
use crate::arrivals::Arrivals;
use crate::{Error, Headers, Reply, host};

/// What the filter does with the body that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Replace,
}

#[derive(Debug)]
pub(crate) struct Message {
    kind: StreamKind,
    arrivals: Rc<Arrivals>,
    bodiless: bool,
    pub(crate) headers: Headers,
    trailers: Headers,
    head: Head,
    /// The whole body, once it was asked for, and its length then.
    whole: Option<(Vec<u8>, usize)>,
    /// What the host gets back at the end.
    replaces: bool,
    /// Bytes of the piece that the filter has in hand.
    piece: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Here,
    /// With or without the length of the body that follows.
    Gone(Use),
}

impl Message {
    pub(crate) fn new(kind: StreamKind, arrivals: Rc<Arrivals>, bodiless: bool) -> Self {
        let (headers, trailers) = match kind {
            StreamKind::Request => (MapKind::RequestHeaders, MapKind::RequestTrailers),
            StreamKind::Response => (MapKind::ResponseHeaders, MapKind::ResponseTrailers),
        };
        Message {
            kind,
            arrivals,
            bodiless,
            headers: Headers::new(headers),
            trailers: Headers::new(trailers),
            head: Head::Here,
            whole: None,
            replaces: false,
            piece: 0,
        }
    }

    pub(crate) fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// The trailers, once the body is over.
    pub(crate) fn trailers(&mut self) -> Option<&mut Headers> {
        self.arrivals.trailers.get().then_some(&mut self.trailers)
    }

    /// Waits for the whole body.
    pub(crate) async fn whole(&mut self, limit: usize, how: Use) -> Result<&mut Vec<u8>, Error> {
        if self.whole.is_none() {
            self.send_head(how)?;
            let size = self.arrivals.whole(limit).await;
            if size > limit {
                return Err(self.too_large().into());
            }
            let body = if size == 0 { Vec::new() } else { self.fetch(size)? };
            self.whole = Some((body, size));
        }
        self.replaces |= how == Use::Replace;
        Ok(&mut self.whole.get_or_insert_default().0)
    }

    /// Waits for the next piece; None after the last.
    pub(crate) async fn next(&mut self, how: Use) -> Result<Option<Vec<u8>>, Error> {
        self.arrivals.seen.set(self.arrivals.seen.get() + self.piece);
        self.piece = 0;
        self.send_head(how)?;
        self.piece = self.arrivals.more().await;
        match self.piece {
            0 => Ok(None),
            size => self.fetch(size).map(Some),
        }
    }

    /// Puts other bytes in the place of the piece in hand.
    pub(crate) fn replace_piece(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.may_change_length(self.piece == bytes.len())?;
        let (before, size) = (self.arrivals.seen.get(), self.arrivals.size.get());
        let after = before + self.piece;
        if before == 0 && after == size {
            host::set_buffer(self.buffer(), 0, size, bytes)?;
        } else {
            // Hosts replace all of a buffer, but no part in its middle.
            let mut all = host::buffer(self.buffer(), 0, before)?;
            all.extend_from_slice(bytes);
            all.extend(host::buffer(self.buffer(), after, size.saturating_sub(after))?);
            host::set_buffer(self.buffer(), 0, size, &all)?;
        }
        self.arrivals.size.set(size - self.piece + bytes.len());
        self.piece = bytes.len();
        Ok(())
    }

    /// The filter is done: gives the host the body that replaces what came.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        let (true, Some((body, size))) = (self.replaces, self.whole.take()) else { return Ok(()) };
        if self.bodiless && !body.is_empty() {
            return Err(Error::new("a message without a body cannot get one"));
        }
        self.may_change_length(body.len() == size)?;
        match self.bodiless {
            true => Ok(()),
            false => Ok(host::set_buffer(self.buffer(), 0, self.arrivals.size.get(), &body)?),
        }
    }

    fn fetch(&self, size: usize) -> Result<Vec<u8>, Error> {
        Ok(host::buffer(self.buffer(), self.arrivals.seen.get(), size)?)
    }

    /// Hosts hold a body back while its head is held, so the head goes first: without a length that may become wrong.
    fn send_head(&mut self, how: Use) -> Result<(), Error> {
        if self.bodiless || self.head != Head::Here {
            return Ok(());
        }
        if how == Use::Replace {
            self.headers.remove("content-length")?;
        }
        self.headers.seal();
        self.head = Head::Gone(how);
        Ok(())
    }

    fn may_change_length(&self, same: bool) -> Result<(), Error> {
        match self.head {
            Head::Gone(Use::Read) if !same => Err(Error::new(
                "the head has gone on with the body's length: call `body` or `next_chunk` first, not `read_…`",
            )),
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Reply {
        let status = if self.kind == StreamKind::Request { 413 } else { 500 };
        Reply::new(status).details("body_too_large")
    }

    fn buffer(&self) -> BufferKind {
        match self.kind {
            StreamKind::Request => BufferKind::RequestBody,
            StreamKind::Response => BufferKind::ResponseBody,
        }
    }
}
