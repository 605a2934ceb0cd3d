//! Tunnels, which take the place of a reply's body on HTTP/1 and on HTTP/2.

use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use portcullis_message::ConnectProtocol;
use portcullis_proxy::{ResponseBody, Tunnel, TunnelEnd};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::activity::OpenRequest;

/// A tunnel whose request counts as open for as long as it lasts.
pub(crate) struct OpenTunnel {
    pub(crate) tunnel: Box<Tunnel>,
    pub(crate) open: Option<OpenRequest>,
}

impl OpenTunnel {
    /// Carries bytes both ways until it ends.
    pub(crate) async fn carry(self, downstream: impl AsyncRead + AsyncWrite + Unpin) -> TunnelEnd {
        let _open = self.open;
        self.tunnel.carry(downstream).await
    }
}

/// What a service answers with: mostly a body.
pub(crate) trait MayTunnel {
    /// The tunnel that is to be carried in its place.
    fn take_tunnel(&mut self) -> Option<OpenTunnel> {
        None
    }
}

impl MayTunnel for ResponseBody {
    fn take_tunnel(&mut self) -> Option<OpenTunnel> {
        ResponseBody::take_tunnel(self).map(|tunnel| OpenTunnel { tunnel, open: None })
    }
}

/// The stream of an HTTP/2 extended CONNECT (RFC 8441), for the case that it becomes a tunnel; what it asks
/// for is noted beside the request.
pub(crate) fn stream_of(request: &mut http::Request<Incoming>) -> Option<OnUpgrade> {
    if request.method() != http::Method::CONNECT {
        return None;
    }
    let protocol = request.extensions().get::<Protocol>()?;
    let protocol = ConnectProtocol(protocol.as_str().into());
    request.extensions_mut().insert(protocol);
    Some(hyper::upgrade::on(request))
}

/// Carries a tunnel in a task of its own: the stream is there once its 200 is sent. It ends with the
/// connection.
pub(crate) fn carry_on_stream(tunnel: OpenTunnel, stream: OnUpgrade) {
    tokio::task::spawn_local(async move {
        if let Ok(stream) = stream.await {
            tunnel.carry(TokioIo::new(stream)).await;
        }
    });
}
