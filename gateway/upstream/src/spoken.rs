//! Which HTTP a request is sent by.

use http::{Request, Version};
use portcullis_message::Upgrade;
use portcullis_model::UpstreamProtocol;

use crate::cluster::Cluster;
use crate::request_body::RequestBody;

/// Which HTTP a request is sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// HTTP/2, on a connection that others share.
    Http2,
}

impl Spoken {
    /// What the cluster's endpoints are spoken to by for this request. A request says by its version what its client
    /// speaks. A WebSocket goes by HTTP/1.1 wherever it goes.
    pub fn for_request(cluster: &Cluster, request: &Request<RequestBody>) -> Self {
        match cluster.settings().protocol {
            UpstreamProtocol::Http1 | UpstreamProtocol::Tcp => Spoken::Http1,
            UpstreamProtocol::Client if request.version() != Version::HTTP_2 => Spoken::Http1,
            _ if request.extensions().get::<Upgrade>().is_some() => Spoken::Http1,
            UpstreamProtocol::Http2 | UpstreamProtocol::Client => Spoken::Http2,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_message::Body;
    use portcullis_model as model;

    use super::*;

    fn spoken(protocol: UpstreamProtocol, version: Version, upgrade: Option<Upgrade>) -> Spoken {
        let settings = model::Cluster { protocol, ..model::Cluster::for_test(&[]) };
        let cluster = Cluster::new(&Arc::new(settings), None);
        let mut request = Request::new(RequestBody::new(Body::Empty));
        *request.version_mut() = version;
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade);
        }
        Spoken::for_request(&cluster, &request)
    }

    #[test]
    fn the_cluster_or_the_client_says_what_is_spoken() {
        use UpstreamProtocol::{Client, Http1, Http2};
        for (protocol, version, expected) in [
            (Http1, Version::HTTP_2, Spoken::Http1),
            (Http2, Version::HTTP_11, Spoken::Http2),
            (Client, Version::HTTP_11, Spoken::Http1),
            (Client, Version::HTTP_2, Spoken::Http2),
        ] {
            assert_eq!(spoken(protocol, version, None), expected, "{protocol:?} {version:?}");
        }
        assert_eq!(spoken(Http2, Version::HTTP_2, Some(Upgrade::ExtendedConnect)), Spoken::Http1);
    }
}
