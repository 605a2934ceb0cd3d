//! HTTP on a connection of which everything else is settled.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_exchange::{Connection, TlsFacts};
use portcullis_model::ConnectionPolicy;
use portcullis_proxy::{record_broken_protocol, record_refused_head};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::Visit;
use crate::http1::{Arrived, Refusal};
use crate::requests::{answer, answer_streams};
use crate::watched::{OnRefused, Watched};
use crate::{http1, http2};

impl Visit {
    pub(crate) async fn serve_http1<I>(self, arrived: Arrived<I>, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = self.connection(tls);
        let _record = self.worker.handshaken.enter(&connection, &self.activity);
        let (proxy, bench, activity) =
            (&self.worker.proxy, self.worker.bench.clone(), self.activity.clone());
        let service = |request| answer(proxy.clone(), connection.clone(), request, &self.activity);
        let refused = |refusal: Refusal| {
            record_refused_head(proxy, &connection, refusal.status, refusal.details);
        };
        let outcome = http1::serve(arrived, bench, activity, service, refused).await;
        self.note(outcome);
    }

    pub(crate) async fn serve_http2<I>(self, io: I, read_ahead: Bytes, tls: Option<TlsFacts>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = self.connection(tls);
        let _record = self.worker.handshaken.enter(&connection, &self.activity);
        let service =
            answer_streams(self.worker.proxy.clone(), connection.clone(), self.activity.clone());
        let policy = self.policy();
        let refused = self.on_refused(&connection);
        let limits = http2::frame_limits(&policy);
        let io = Watched::new(io, read_ahead, self.activity.clone(), limits, refused);
        if let Err(ended) = http2::serve(io, service, &self.activity, &policy).await {
            if let Some(details) = ended.details {
                record_broken_protocol(&self.worker.proxy, &connection, details);
            }
            self.note(Err(ended.error));
        }
    }

    /// What is asked of the socket's connections.
    fn policy(&self) -> Arc<ConnectionPolicy> {
        let snapshot = self.worker.proxy.pin();
        let table = snapshot.socket(self.socket.key);
        table.map_or_else(Arc::default, |table| table.connections.clone())
    }

    /// Records what the HTTP/2 library refuses before it becomes a request.
    fn on_refused(&self, connection: &Arc<Connection>) -> OnRefused {
        let (proxy, connection) = (self.worker.proxy.clone(), connection.clone());
        Box::new(move |_| record_broken_protocol(&proxy, &connection, "http2.stream_refused"))
    }

    fn note(&self, outcome: Result<(), impl Display>) {
        if let Err(error) = outcome {
            tracing::debug!(peer = %self.peer, %error, "connection ended early");
        }
    }
}
