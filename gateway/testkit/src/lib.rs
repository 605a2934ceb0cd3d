//! What tests of the real binary need: fake upstreams, certificates, strict little clients, manifests in
//! a directory, guests from text.
//!
//! What it is *not*: part of the product; it knows nothing of the gateway but the wire and the manifests.
//! Everything panics where a test's own step fails, and nothing waits longer than [`PATIENCE`].
//!
//! The usual test starts an [`Upstream`], writes [`manifests`] into a [`Directory`], starts the gateway on
//! it and talks to it with a [`Client`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails should panic where it happens"
)]

mod alb;
mod answers;
mod body;
mod call;
mod certificates;
mod client;
mod directory;
mod dns;
mod dns_answer;
mod dns_message;
mod echo;
mod faulty;
mod frames;
mod guest;
mod https_server;
mod image_registry;
mod image_uploads;
pub mod manifests;
mod patience;
mod raw;
mod raw_http2;
mod seen;
mod tls;
mod tls_acceptor;
mod tls_handshake;
mod tls_sessions;
mod tls_staple;
mod tls_upstream;
mod token_corpus;
mod upstream;
mod websocket;

pub use alb::{Alb, AlbSettings, TargetState};
pub use body::{BodyWriter, TestBody};
pub use call::{Call, Reply};
pub use certificates::{Authority, Certificates, KeyKind, Subject, sha256};
pub use client::Client;
pub use directory::Directory;
pub use dns::DnsServer;
pub use dns_answer::DnsAnswer;
pub use echo::Echo;
pub use faulty::{Blackhole, Fault, FaultyUpstream, Refusing};
pub use frames::{Frame, FrameConnection, FrameUpstream, frame, header_block};
pub use guest::module;
pub use https_server::{HttpsAnswer, HttpsRequest, HttpsServer};
pub use image_registry::{ImageRegistry, Layout, Login, gzip, tar};
pub use image_uploads::{Referrers, Uploads, image_digest};
pub use patience::{PATIENCE, within};
pub use raw::{RawConnection, RawUpstream};
pub use raw_http2::{Http2Answer, http2_exchange, http2_request};
pub use rustls::{CipherSuite, ProtocolVersion};
pub use seen::Seen;
pub use tls::{Tls, TlsStream};
pub use tls_handshake::Handshake;
pub use tls_upstream::{HandshakesSeen, TlsUpstream};
pub use token_corpus::{
    Signer, TOKEN_AUDIENCE, TOKEN_ISSUER, TokenCorpus, TokenFault, TokenVector,
};
pub use upstream::Upstream;
pub use websocket::{WebSocketSeen, WebSocketUpstream, websocket_handshake};
