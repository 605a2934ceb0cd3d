//! Which sockets pass from one process to the next in a binary upgrade: those of traffic, and the side ports.

use std::io;

use portcullis_edge::{HandedSocket, Workers};

use crate::handover::{Channel, Named, from_predecessor};
use crate::side_ports::SideListeners;

/// Stands before the names of traffic sockets.
const TRAFFIC: &str = "traffic ";

/// The process that started this one to take its place. It serves until it is told that we do.
pub(crate) struct Predecessor {
    channel: Channel,
    /// Whether it served traffic.
    served: bool,
}

/// Everything that this process listens on, for its successor.
///
/// # Errors
/// Where descriptors are exhausted.
pub(crate) fn hand_out(workers: &Workers, sides: &SideListeners) -> io::Result<Vec<Named>> {
    let mut sockets = sides.hand_out()?;
    sockets.extend(workers.hand_out()?.into_iter().map(|HandedSocket { name, listener }| Named {
        name: format!("{TRAFFIC}{name}"),
        listener,
    }));
    Ok(sockets)
}

/// Takes over what a predecessor listens on, if one started us: the workers get the sockets of traffic, and those
/// of the side ports are returned.
///
/// # Errors
/// The predecessor is gone or says something unexpected.
pub(crate) fn take_over(workers: &Workers) -> io::Result<(Option<Predecessor>, Vec<Named>)> {
    let Some(channel) = from_predecessor()? else { return Ok((None, Vec::new())) };
    let (mut traffic, mut sides) = (Vec::new(), Vec::new());
    for named in channel.receive_sockets()? {
        // What the old process accepts from is set up for that already; a descriptor shares its flags.
        match named.name.strip_prefix(TRAFFIC) {
            Some(name) => {
                traffic.push(HandedSocket { name: name.to_owned(), listener: named.listener })
            }
            None => sides.push(named),
        }
    }
    tracing::info!(traffic = traffic.len(), side = sides.len(), "sockets taken over");
    let predecessor = Predecessor { channel, served: !traffic.is_empty() };
    workers.adopt(traffic);
    Ok((Some(predecessor), sides))
}

impl Predecessor {
    /// Whether this process would serve nothing where the old one serves: a configuration that cannot be read at
    /// this moment, for instance.
    pub(crate) fn serves_more_than(&self, listeners: usize) -> bool {
        self.served && listeners == 0
    }

    /// Tells it to go.
    pub(crate) fn dismiss(self) {
        if let Err(error) = self.channel.send_ready() {
            tracing::warn!(%error, "the old process is gone already");
        }
    }
}
