//! What a fake DNS server is scripted to say.

use std::net::IpAddr;

/// What the server says of a name.
#[derive(Clone, Debug)]
pub enum DnsAnswer {
    /// These addresses; of each question's family alone.
    Addresses {
        /// How long they hold, in seconds.
        ttl: u32,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Another name, and its addresses in the same reply.
    Alias {
        /// How long it holds, in seconds.
        ttl: u32,
        /// The other name.
        target: String,
        /// The addresses of that; where there are none, whoever asks must ask again.
        addresses: Vec<IpAddr>,
    },
    /// No such name.
    NoSuchName,
    /// The server failed.
    ServerFailure,
    /// No reply.
    Silence,
    /// Addresses, but of a name that nobody asked about.
    AnotherName {
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// The right reply to a question that was not asked.
    AnotherQuestion {
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Bytes that are no reply.
    Garbage,
}

impl DnsAnswer {
    /// Addresses as text, which hold for so many seconds.
    pub fn addresses(ttl: u32, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        DnsAnswer::Addresses { ttl, addresses }
    }
}
