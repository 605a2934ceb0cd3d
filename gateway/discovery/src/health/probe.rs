//! Asking one endpoint once.

use portcullis_model::{HealthCheck, Probe, UpstreamProtocol, UpstreamTls};
use portcullis_upstream::{Cluster, Endpoint, ProbeSpeaks, RawConnection};
use tokio::time::timeout;

use super::http_probe::ask_http1;
use super::http2_probe::{Asked, ask_http2};

/// Asks an endpoint whether it is well.
///
/// # Errors
/// It is not, for this reason.
pub(crate) async fn ask(
    cluster: &Cluster,
    endpoint: &Endpoint,
    check: &HealthCheck,
) -> Result<(), String> {
    match timeout(check.timeout, Box::pin(ask_in_time(cluster, endpoint, check))).await {
        Ok(answer) => answer,
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn ask_in_time(
    cluster: &Cluster,
    endpoint: &Endpoint,
    check: &HealthCheck,
) -> Result<(), String> {
    let settings = cluster.settings();
    let host = match &check.probe {
        Probe::Http { host: Some(host), .. } => host,
        _ => &*settings.name.host,
    };
    let speaks = match &check.probe {
        Probe::Tcp => ProbeSpeaks::Nothing,
        Probe::Grpc { .. } => ProbeSpeaks::Http2,
        Probe::Http { .. } if settings.protocol == UpstreamProtocol::Http2 => ProbeSpeaks::Http2,
        Probe::Http { .. } => ProbeSpeaks::Http1,
    };
    let opened = RawConnection::open_probe(cluster, endpoint, speaks, host).await;
    let connection = opened.map_err(|error| error.cause.to_string())?;
    let scheme = if settings.tls == UpstreamTls::Plain { "http" } else { "https" };
    match (&check.probe, speaks) {
        (Probe::Tcp, _) => Ok(()),
        (Probe::Http { path, .. }, ProbeSpeaks::Http2) => {
            ask_http2(connection, Asked::Path(path), scheme, host).await
        }
        (Probe::Http { path, .. }, _) => ask_http1(connection, path, host).await,
        (Probe::Grpc { service }, _) => {
            ask_http2(connection, Asked::Service(service), scheme, host).await
        }
    }
}
