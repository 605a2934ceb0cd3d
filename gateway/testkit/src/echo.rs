//! An upstream that is not HTTP: it says who it is, then sends back what it gets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificates;
use crate::tls_acceptor::tls_acceptor;

/// It greets each connection with its name and a line feed, echoes what comes, and when the client has ended
/// says `bye` and ends too. It lives on the test's own runtime.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
    task: AbortHandle,
}

impl Echo {
    /// One that speaks plain bytes, on 127.0.0.1.
    pub async fn plain(name: &str) -> Self {
        Self::start(name, "127.0.0.1:0", None).await
    }

    /// The same on `::1`.
    pub async fn plain_v6(name: &str) -> Self {
        Self::start(name, "[::1]:0", None).await
    }

    /// One that speaks TLS and shows this certificate.
    pub async fn tls(name: &str, certificates: &Certificates) -> Self {
        Self::start(name, "127.0.0.1:0", Some(tls_acceptor(certificates))).await
    }

    async fn start(name: &str, address: &str, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let greeting: Arc<str> = format!("{name}\n").into();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (greeting, acceptor) = (greeting.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // A client that leaves is no failure of ours.
                    let _gone = match acceptor {
                        None => echo(stream, &greeting).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => echo(stream, &greeting).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Echo { address, task: accepting.abort_handle() }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, greeting: &str) -> io::Result<()> {
    stream.write_all(greeting.as_bytes()).await?;
    stream.flush().await?;
    let mut piece = vec![0; 32 * 1024];
    loop {
        match stream.read(&mut piece).await? {
            0 => break,
            length => {
                stream.write_all(&piece[..length]).await?;
                stream.flush().await?;
            }
        }
    }
    stream.write_all(b"bye\n").await?;
    stream.shutdown().await
}
