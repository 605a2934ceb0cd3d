//! Bodies that tests send: bytes at hand, many of them, or written as the test goes on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The frames of a repeated body.
const FRAME: usize = 64 << 10;

/// A body for a request or a reply.
#[derive(Debug)]
pub struct TestBody {
    source: Source,
    trailers: Option<HeaderMap>,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    Repeated { left: u64 },
    Written(mpsc::Receiver<io::Result<Bytes>>),
}

/// Writes a body while it is sent. Dropping it ends the body; sending an error breaks it off.
pub type BodyWriter = mpsc::Sender<io::Result<Bytes>>;

impl TestBody {
    /// No body.
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// This many bytes, generated as they are sent.
    pub fn repeated(bytes: u64) -> Self {
        TestBody { source: Source::Repeated { left: bytes }, trailers: None }
    }

    /// A body of unknown length that is written through the other half.
    pub fn written() -> (BodyWriter, Self) {
        let (writer, frames) = mpsc::channel(4);
        (writer, TestBody { source: Source::Written(frames), trailers: None })
    }

    /// With trailers at the end; the length is then not announced.
    #[must_use]
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(trailers);
        self
    }

    /// The trailers it will send.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    fn data_left(&self) -> Option<u64> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes.len() as u64),
            Source::Repeated { left } => Some(*left),
            Source::Written(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for TestBody {
    fn from(bytes: T) -> Self {
        TestBody { source: Source::Bytes(bytes.into()), trailers: None }
    }
}

impl Source {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        static ZEROS: [u8; FRAME] = [0; FRAME];
        match self {
            Source::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Source::Repeated { left: 0 } => Poll::Ready(None),
            Source::Repeated { left } => {
                let length = usize::try_from(*left).map_or(FRAME, |left| left.min(FRAME));
                *left -= length as u64;
                Poll::Ready(Some(Ok(Bytes::from_static(&ZEROS[..length]))))
            }
            Source::Written(frames) => frames.poll_recv(cx),
        }
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        match this.source.poll_data(cx) {
            Poll::Ready(Some(data)) => Poll::Ready(Some(data.map(Frame::data))),
            Poll::Ready(None) => Poll::Ready(this.trailers.take().map(Frame::trailers).map(Ok)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && self.data_left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.data_left() {
            Some(left) if self.trailers.is_none() => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}
