//! What the limits of a cluster say to a request and to a connection.

use std::sync::Arc;

use crate::breakers::{Breaker, Entered};
use crate::cluster::Cluster;
use crate::endpoint::{ActiveRequest, Endpoint};
use crate::failure::{ConnectError, UpstreamFailure};

impl Cluster {
    /// Has a request count at an endpoint and under `maxRequests`.
    ///
    /// # Errors
    /// As many are under way as may be. No other endpoint will do.
    pub(crate) fn begin_request(
        &self,
        endpoint: &Arc<Endpoint>,
    ) -> Result<ActiveRequest, ConnectError> {
        let place = self.place_for(Breaker::Requests, endpoint)?;
        Ok(ActiveRequest::begin(endpoint, place))
    }

    /// Has one of these count, before it begins, for as long as the place is held.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn place_for(
        &self,
        breaker: Breaker,
        endpoint: &Endpoint,
    ) -> Result<Entered, ConnectError> {
        self.enter(breaker).map_err(|overflow| ConnectError {
            address: endpoint.address(),
            cause: UpstreamFailure::Overflow(overflow),
        })
    }
}
