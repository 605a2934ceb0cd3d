//! Clusters under `DYNAMIC_DNS`: the request's own host says where it goes.

use portcullis_model::Discovery;

use crate::ProxyError;
use crate::flight::Flight;
use crate::outbound::Outbound;

/// Whether a request's own host is to be looked up.
pub(crate) fn is_dynamic(outbound: &Outbound) -> bool {
    outbound.cluster.settings().discovery == Discovery::DynamicDns
}

/// Puts the cluster that stands for the request's host in the place of the one that stands for all. The first request
/// to a host waits for the lookup, which is done on the control runtime.
pub(crate) async fn choose_host(
    flight: &mut Flight,
    outbound: &mut Outbound,
) -> Result<(), ProxyError> {
    let Some(discovery) = flight.worker.settings.discovery.clone() else {
        return Err(ProxyError::NoHealthyUpstream);
    };
    let authority = flight.exchange.request.authority_str();
    match discovery.cluster_of(&outbound.cluster, authority).await {
        Ok(cluster) => {
            flight.host_cluster = Some(cluster.clone());
            outbound.cluster = cluster;
            Ok(())
        }
        Err(refused) => {
            flight.exchange.transport_failure = refused.to_string();
            Err(ProxyError::NoHealthyUpstream)
        }
    }
}
