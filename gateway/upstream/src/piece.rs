//! A piece of a body that is kept.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// A piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Piece {
    pub(crate) fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().cloned().map(Piece::Data);
        data.or_else(|| frame.trailers_ref().cloned().map(Piece::Trailers))
    }

    /// The bytes of memory that keeping it costs, as far as its sender decides it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Piece::Data(data) => data.len(),
            Piece::Trailers(_) => 0,
        }
    }
}

impl From<Piece> for Frame<Bytes> {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Data(data) => Frame::data(data),
            Piece::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}
