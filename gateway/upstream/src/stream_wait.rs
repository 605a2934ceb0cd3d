//! A request over HTTP/2 that may open no connection, and waits for a stream on one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::breakers::{Breaker, Entered};
use crate::cluster::Cluster;
use crate::endpoint::Endpoint;
use crate::failure::ConnectError;

/// How often it looks whether others have left it a place.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A request that may open no connection, and waits for a place on one.
pub(crate) struct Wait {
    _pending: Entered,
    until: Instant,
    full: ConnectError,
}

impl Wait {
    /// Takes its place among those that wait. `full` is what it is told where nothing comes of that.
    ///
    /// # Errors
    /// Too many wait.
    pub(crate) fn begin(
        cluster: &Cluster,
        endpoint: &Endpoint,
        full: ConnectError,
    ) -> Result<Self, ConnectError> {
        let pending = cluster.place_for(Breaker::Pending, endpoint)?;
        // As long as over HTTP/1.
        let until = Instant::now() + cluster.settings().pool.connect_timeout * 2;
        Ok(Wait { _pending: pending, until, full })
    }

    /// Lets a moment pass.
    ///
    /// # Errors
    /// It has waited long enough.
    pub(crate) async fn look_again(&self) -> Result<(), ConnectError> {
        if Instant::now() >= self.until {
            return Err(self.full.clone());
        }
        sleep(LOOK_AGAIN).await;
        Ok(())
    }
}
