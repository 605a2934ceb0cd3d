//! The channel between a process and the one that takes its place: listening sockets go one way, word of being
//! ready the other.
//!
//! It is a socket pair whose far end is the new process's standard input, so it has no name that anybody else
//! could reach; [`VARIABLE`] tells the new process that it is there. Each message is one packet: a name with the
//! descriptor that it is of, [`END`] after the last of them; then [`READY`] comes back.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair,
};

/// Says that standard input is the channel.
pub(crate) const VARIABLE: &str = "PORTCULLIS_HANDOVER";
/// Its value.
pub(crate) const BY_STDIN: &str = "stdin";

const END: &[u8] = b"end";
const READY: &[u8] = b"ready";
/// Names are short.
const LONGEST: usize = 512;
/// How long the sockets may take on their way. They lie in the channel before they are asked for.
const ARRIVAL: Duration = Duration::from_secs(10);

/// One end of the channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A listening socket with its name.
#[derive(Debug)]
pub(crate) struct Named {
    /// What it is for.
    pub name: String,
    /// The socket.
    pub listener: TcpListener,
}

/// A new channel: our end, and what becomes the other process's standard input.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn channel() -> io::Result<(Channel, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Channel(ours), theirs))
}

/// What this process was started with: the channel, if a predecessor started it. Standard input is empty from
/// then on.
///
/// # Errors
/// The variable is set, and standard input is no such channel.
pub(crate) fn from_predecessor() -> io::Result<Option<Channel>> {
    if std::env::var_os(VARIABLE).is_none_or(|value| value != BY_STDIN) {
        return Ok(None);
    }
    let channel = Channel(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(Some(channel))
}

impl Channel {
    /// Sends all sockets, and that these were all.
    ///
    /// # Errors
    /// The other process is gone.
    pub(crate) fn send_sockets(&self, sockets: &[Named]) -> io::Result<()> {
        // One that never reads must not hold us up.
        set_socket_timeout(&self.0, Timeout::Send, Some(ARRIVAL))?;
        for socket in sockets {
            self.send(socket.name.as_bytes(), Some(&socket.listener))?;
        }
        self.send(END, None)
    }

    /// Receives all sockets.
    ///
    /// # Errors
    /// The other process is gone, or says something else.
    pub(crate) fn receive_sockets(&self) -> io::Result<Vec<Named>> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(ARRIVAL))?;
        let mut sockets = Vec::new();
        loop {
            let (text, descriptor) = self.receive()?;
            match descriptor {
                Some(descriptor) => {
                    let name = String::from_utf8_lossy(&text).into_owned();
                    sockets.push(Named { name, listener: TcpListener::from(descriptor) });
                }
                None if text == END => return Ok(sockets),
                None => return Err(unexpected()),
            }
        }
    }

    /// Tells the predecessor to go.
    ///
    /// # Errors
    /// It is gone already.
    pub(crate) fn send_ready(&self) -> io::Result<()> {
        self.send(READY, None)
    }

    /// Waits until the successor is ready.
    ///
    /// # Errors
    /// It ended, or was not ready in time, or [`Channel::hang_up`] was called.
    pub(crate) fn receive_ready(&self, within: Duration) -> io::Result<()> {
        // Zero would mean for ever.
        let within = within.max(Duration::from_millis(1));
        set_socket_timeout(&self.0, Timeout::Recv, Some(within))?;
        match self.receive()? {
            (text, None) if text == READY => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Ends the channel, and whatever waits on it.
    pub(crate) fn hang_up(&self) {
        // It may have ended already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    fn send(&self, text: &[u8], listener: Option<&TcpListener>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = listener.map(|listener| [listener.as_fd()]);
        if let Some(descriptors) = &descriptors
            && !control.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(&self.0, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn receive(&self) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut text = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.0,
            &mut [IoSliceMut::new(&mut text)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let received = match received {
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            received => received?,
        };
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.truncate(received.bytes);
        let mut descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptor = descriptors.next().and_then(|mut descriptors| descriptors.next());
        Ok((text, descriptor))
    }
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process said something unexpected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (ours, theirs) = channel().unwrap();
        (ours, Channel(theirs))
    }

    fn socket(name: &str) -> Named {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Named { name: name.to_owned(), listener }
    }

    #[test]
    fn sockets_arrive_with_their_names() {
        let (old, new) = pair();
        let sent = [socket("status"), socket("traffic 80 * address [::]:80")];
        old.send_sockets(&sent).unwrap();
        let received = new.receive_sockets().unwrap();
        assert_eq!(received.len(), 2);
        for (sent, received) in sent.iter().zip(&received) {
            assert_eq!(sent.name, received.name);
            let address = |named: &Named| named.listener.local_addr().unwrap();
            assert_eq!(address(sent), address(received));
        }
    }

    #[test]
    fn a_successor_that_ends_is_not_ready() {
        let (old, new) = pair();
        drop(new);
        let error = old.receive_ready(ARRIVAL).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_successor_that_is_slow_is_not_ready() {
        let (old, _new) = pair();
        let error = old.receive_ready(Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn waiting_ends_when_the_channel_does() {
        let (old, new) = pair();
        new.send_ready().unwrap();
        old.receive_ready(ARRIVAL).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| old.receive_ready(ARRIVAL));
            old.hang_up();
            assert!(waiting.join().unwrap().is_err());
        });
    }

    #[test]
    fn what_is_no_end_ends_nothing() {
        let (old, new) = pair();
        old.send(b"nonsense", None).unwrap();
        assert!(new.receive_sockets().is_err());
    }
}
