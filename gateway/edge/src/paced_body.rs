//! The body of a reply on an HTTP/2 stream, in pieces small enough that their passing shows whether the client
//! still takes it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use portcullis_proxy::Progress;

/// What is handed over at once: a frame of the usual largest size. The next piece is asked for when the
/// client's window has taken this one.
const PIECE: usize = 16 << 10;
/// The same for a client that was found to be slow.
const SMALL_PIECE: usize = 1 << 10;

/// A body that tells how much of it the client has taken.
pub(crate) struct PacedBody<B> {
    body: B,
    progress: Rc<Progress>,
    /// Had from the body and not handed over yet.
    rest: Bytes,
    /// Handed over and not known to be taken.
    handed: usize,
}

impl<B> PacedBody<B> {
    pub(crate) fn new(body: B, progress: Rc<Progress>) -> Self {
        PacedBody { body, progress, rest: Bytes::new(), handed: 0 }
    }

    /// Who asks for more has got rid of the last piece.
    fn note_taken(&mut self) {
        if self.handed > 0 {
            self.progress.took(self.handed);
            self.progress.owes(false);
            self.handed = 0;
        }
    }

    fn hand_over(&mut self) -> Frame<Bytes> {
        let most = if self.progress.is_slow() { SMALL_PIECE } else { PIECE };
        let piece = if self.rest.len() <= most {
            std::mem::take(&mut self.rest)
        } else {
            self.rest.split_to(most)
        };
        self.handed = piece.len();
        self.progress.owes(true);
        Frame::data(piece)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        this.note_taken();
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.hand_over())));
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) if data.is_empty() => Frame::data(data),
            Ok(data) => {
                this.rest = data;
                this.hand_over()
            }
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut whole = SizeHint::new();
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole.set_lower(hint.lower().saturating_add(rest));
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use portcullis_proxy::UnderWay;

    use super::*;

    #[tokio::test]
    async fn everything_comes_in_pieces_and_none_is_lost() {
        let progress = Rc::new(Progress::default());
        let sent = Bytes::from((0..=255).cycle().take(3 * PIECE + 5).collect::<Vec<u8>>());
        let mut body = PacedBody::new(Full::new(sent.clone()), progress);
        let mut lengths = Vec::new();
        let mut got = Vec::new();
        assert_eq!(body.size_hint().exact(), Some(sent.len() as u64));
        while !body.is_end_stream() {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            lengths.push(data.len());
            got.extend_from_slice(&data);
            assert_eq!(body.size_hint().exact(), Some((sent.len() - got.len()) as u64));
        }
        assert!(got == sent);
        assert_eq!(lengths, [PIECE, PIECE, PIECE, 5]);
    }

    #[tokio::test]
    async fn whoever_is_slow_gets_small_pieces() {
        let under_way = Rc::new(UnderWay::default());
        let place = under_way.enter();
        let mut body =
            PacedBody::new(Full::new(Bytes::from(vec![0; 2 * PIECE])), place.progress().clone());
        body.frame().await.unwrap().unwrap();
        under_way.look().await;
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data.len(), SMALL_PIECE);
    }
}
