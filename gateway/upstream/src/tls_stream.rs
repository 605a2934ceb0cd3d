//! TLS on a TCP stream: records in and out, without a task or a lock of its own.

use std::io::{self, BufRead as _, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::{ClientConnection, IoState};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is read from the network at a time: two whole records, so that a large reply does not take a system call for
/// every 4 KiB.
const READ: usize = 33 << 10;

/// rustls takes no more records while it holds more plaintext than this.
const MOST_PLAINTEXT: usize = 16 << 10;

/// The client's side of a TLS connection.
#[derive(Debug)]
pub(crate) struct TlsStream {
    tcp: TcpStream,
    session: ClientConnection,
    /// Records that were read and have to wait until plaintext is taken.
    records: Vec<u8>,
    /// What a write met after some of it had gone out; told to the next one.
    write_error: Option<io::Error>,
}

impl TlsStream {
    /// Makes the handshake.
    ///
    /// # Errors
    /// Of the network, or with a [`rustls::Error`] inside; the peer is told of it as TLS has it.
    pub(crate) async fn connect(tcp: TcpStream, session: ClientConnection) -> io::Result<Self> {
        let mut this = TlsStream { tcp, session, records: Vec::new(), write_error: None };
        std::future::poll_fn(|cx| this.poll_handshake(cx)).await?;
        Ok(this)
    }

    /// The TCP stream below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// What the handshake settled.
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.session
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // What cannot go out now need not: reading waits for the peer anyway.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_fill(cx))? == Filled::End {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads plaintext; what lies in the session still to be sent goes out on the way.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        sending: Sending,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            let end = self.take_plaintext(buffer)?;
            if buffer.filled().len() > before || buffer.remaining() == 0 || end == Filled::End {
                return Poll::Ready(Ok(()));
            }
            if sending == Sending::On
                && self.session.wants_write()
                && let Poll::Ready(Err(error)) = self.poll_flush(cx)
            {
                self.write_error = Some(error);
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Encrypts as much as there is room for, and sends what the network takes.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(error) = self.write_error.take() {
                return Poll::Ready(Err(error));
            }
            let taken = self.session.writer().write_vectored(pieces)?;
            let mut sent = Sent::Nothing;
            match (self.poll_send(cx, &mut sent), taken) {
                (Poll::Ready(Err(error)), _) if sent == Sent::Nothing => {
                    return Poll::Ready(Err(error));
                }
                (Poll::Ready(Err(error)), 1..) => {
                    self.write_error = Some(error);
                    return Poll::Ready(Ok(taken));
                }
                (Poll::Ready(Err(error)), 0) => return Poll::Ready(Err(error)),
                (_, 1..) => return Poll::Ready(Ok(taken)),
                (Poll::Ready(Ok(())), 0) if pieces.iter().all(|piece| piece.is_empty()) => {
                    return Poll::Ready(Ok(0));
                }
                (Poll::Ready(Ok(())), 0) => {}
                (Poll::Pending, 0) => return Poll::Pending,
            }
        }
    }

    /// Sends all that was encrypted.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.write_error.take() {
            return Poll::Ready(Err(error));
        }
        self.poll_send(cx, &mut Sent::Nothing)
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Whether the peer has said nothing that a user of the connection would have to hear. Tickets for a later session
    /// and new keys are taken in here.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if !self.records.is_empty() {
            return false;
        }
        // Nothing is read by this: it asks the runtime alone.
        while !is_waiting(&self.tcp.try_read(&mut [])) {
            let mut read = [0; 4 << 10];
            let count = match self.tcp.try_read(&mut read) {
                Ok(0) => return false,
                Ok(count) => count,
                read if is_waiting(&read) => break,
                Err(_) => return false,
            };
            let Ok(state) = self.take_records(read.get(..count).unwrap_or_default()) else {
                return false;
            };
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return false;
            }
        }
        is_waiting(&self.session.reader().fill_buf())
    }

    /// Copies plaintext that is there; says whether the peer has ended.
    fn take_plaintext(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<Filled> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let mut reader = self.session.reader();
            let count = match reader.fill_buf() {
                Ok([]) => return Ok(Filled::End),
                Ok(chunk) => {
                    let count = chunk.len().min(buffer.remaining());
                    buffer.put_slice(chunk.get(..count).unwrap_or_default());
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The bytes before it come first.
                Err(_) if buffer.filled().len() > before => break,
                Err(error) => return Err(error),
            };
            reader.consume(count);
        }
        Ok(Filled::Some)
    }

    /// Takes in records: those that had to wait, else what the network has.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.take_records(&records)?;
            return Poll::Ready(Ok(Filled::Some));
        }
        let mut room = [MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            // The session has to know, to tell an end from a break.
            self.session.read_tls(&mut io::empty())?;
            return Poll::Ready(Ok(Filled::End));
        }
        match self.take_records(read.filled()) {
            Ok(_) => Poll::Ready(Ok(Filled::Some)),
            Err(error) => {
                // The alert that says why; whether it arrives is no concern of ours.
                let _ = self.poll_send(cx, &mut Sent::Nothing);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Decrypts as many records as there is room for, and keeps the rest.
    fn take_records(&mut self, mut records: &[u8]) -> io::Result<IoState> {
        loop {
            let state = self.session.process_new_packets().map_err(io::Error::other)?;
            let is_full = state.plaintext_bytes_to_read() > MOST_PLAINTEXT;
            if records.is_empty() || is_full || state.peer_has_closed() {
                self.records.extend_from_slice(records);
                return Ok(state);
            }
            self.session.read_tls(&mut records)?;
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, sent: &mut Sent) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut network = Network { tcp: &mut self.tcp, cx };
            match self.session.write_tls(&mut network) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => *sent = Sent::Something,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether a read may send what lies in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It may.
    On,
    /// A write has failed.
    Failed,
}

/// What a read of the network brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    Some,
    End,
}

/// Whether any byte went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    Something,
}

/// The TCP stream as rustls writes to it.
struct Network<'n, 'c, 'w> {
    tcp: &'n mut TcpStream,
    cx: &'c mut Context<'w>,
}

impl Write for Network<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.tcp).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        now(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_waiting<T>(read: &io::Result<T>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
