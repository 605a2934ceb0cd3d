//! What tells connections to one endpoint apart.

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::transport::Reservation;

/// What tells connections to one endpoint apart: a request uses only those of its own terms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// The number of the [`Transport`](crate::transport::Transport) that they are made by: other rules of TLS, another
    /// identity, or another lifetime, have another.
    pub(crate) transport: u64,
    /// Whom they serve alone.
    reserved: Option<Box<Reservation>>,
}

impl Terms {
    /// Those of a request's connection.
    pub(crate) fn of(cluster: &Cluster, caller: &Caller<'_>) -> Self {
        let transport = cluster.transport();
        let reserved = transport.reservation(caller).map(Box::new);
        Terms { transport: transport.number(), reserved }
    }

    /// Who a connection of these terms is for.
    pub(crate) fn caller(&self) -> Caller<'_> {
        self.reserved.as_deref().map(Reservation::caller).unwrap_or_default()
    }
}
