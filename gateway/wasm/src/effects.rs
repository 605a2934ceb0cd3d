//! What a callback comes to, as data: what the proxy shall do, or how the plugin failed.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use portcullis_message::Reply;

/// A stream's context in one instance. It means nothing in another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub(crate) u32);

/// Whether a body follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfStream {
    /// The head is all.
    Yes,
    /// A body follows.
    No,
}

/// One half of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// From the upstream to the client.
    Response,
}

/// What shall become of what the callback was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Continue,
    /// It is held until the plugin resumes it. Held at the head, nothing of the body is read either; held at the
    /// body, the plugin sees each further piece together with what was held.
    Pause,
    /// The head is held, while the plugin sees the body: only where its settings allow that, as in Envoy before
    /// 1.33.
    PauseHead,
    /// The body is held as with [`Pause`](Self::Pause), but beyond the limit it is not refused: no more is read.
    PauseReading,
    /// This piece of the body goes no further, nor is it kept.
    Discard,
    /// The stream is broken off.
    Close,
    /// The callback has not ended: it gave way. It is gone on with by
    /// [`Instance::poll_slow`](crate::Instance::poll_slow); until then nothing of the message moves.
    Runs,
}

/// What the proxy shall do after a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    /// What becomes of what the callback was about. Always `Pause` beside a reply.
    pub action: Action,
    /// The plugin answers in the upstream's place. Boxed: few do, and effects are moved with every callback.
    pub reply: Option<Box<LocalReply>>,
    /// The body as the guest left it, where it changed it; after a head that is all, a body that it added.
    pub body: Option<Bytes>,
}

/// What ends the holding of a stream, as [`Instance::poll_resumed`](crate::Instance::poll_resumed) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// The plugin lets it go on.
    Continue,
    /// The plugin answers in the upstream's place.
    Reply(Box<LocalReply>),
    /// The plugin breaks it off.
    Close,
    /// The instance failed, in whatever it did.
    Failed,
}

/// A reply that a plugin gives in the upstream's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// What the client gets.
    pub reply: Reply,
    /// The response-code details, one printable word: the plugin's own, else `wasm_local_response`.
    pub details: Cow<'static, str>,
    /// What a gRPC client is told (0 to 16), where the plugin says so.
    pub grpc_status: Option<u16>,
}

impl Effects {
    /// Nothing to do but go on.
    pub fn none() -> Self {
        Effects { action: Action::Continue, reply: None, body: None }
    }
}

/// How a plugin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It trapped: a panic, an access out of bounds, the stack's end.
    Trap,
    /// It ran over the time budget of the callback.
    Deadline,
    /// It was denied memory and gave up.
    Memory,
    /// It had failed in another stream before.
    Dead,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::Trap => "trap",
            FaultKind::Deadline => "time budget",
            FaultKind::Memory => "memory budget",
            FaultKind::Dead => "dead instance",
        })
    }
}

/// A plugin's failure in one stream. The instance is gone; a replacement is under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct PluginFault {
    /// How it failed.
    pub kind: FaultKind,
    /// What happened, in one line.
    pub message: String,
    /// The guest's call stack with demangled names, one frame a line; empty where there is none.
    pub backtrace: String,
}

impl PluginFault {
    /// The fault of a stream whose instance failed in another.
    pub(crate) fn dead() -> Self {
        PluginFault {
            kind: FaultKind::Dead,
            message: "the instance failed in another request and is being replaced".to_owned(),
            backtrace: String::new(),
        }
    }

    /// The plugin's callbacks for this request have taken too long together. Its instance goes on.
    pub(crate) fn request_budget() -> Self {
        PluginFault {
            kind: FaultKind::Deadline,
            message: "its callbacks for this request ran over the time budget of a request"
                .to_owned(),
            backtrace: String::new(),
        }
    }

    /// A host call panicked: our fault, contained like the guest's.
    pub(crate) fn host_panic() -> Self {
        PluginFault {
            kind: FaultKind::Trap,
            message: "a host call panicked; this is a bug of the gateway".to_owned(),
            backtrace: String::new(),
        }
    }
}
