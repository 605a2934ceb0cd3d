//! The plugin host: it compiles, links, starts, runs and retires Wasm filters written against Proxy-Wasm
//! 0.1.0, 0.2.0 and 0.2.1. A callback returns its [`Effects`] as data; the proxy carries them out.
//!
//! What it is *not*: it fetches no modules, knows no routes, sends nothing, and never decides what a failed
//! plugin means for a request; that is the plugin object's fail strategy, applied by the proxy.
//!
//! The main types, in the order of a plugin's life: [`Engine`] compiles a [`Module`], [`Plugin::start`]
//! configures its instances off the request path, [`WorkerInstances`] hands each worker its [`Instance`].

mod abi;
mod address_space;
mod agenda;
mod allowance;
mod asked;
mod at_once;
mod background;
mod breaker;
mod budget;
mod call_end;
mod call_line;
mod call_memory;
mod call_opening;
mod call_targets;
mod calls;
mod capability_gate;
mod capability_manifest;
mod compiler_settings;
mod consumption;
mod desk;
mod effects;
mod engine;
mod errands;
mod fault;
mod fault_log;
mod frozen;
mod giving_way;
mod grpc_frames;
mod guest;
mod held;
mod hooks;
mod http_callbacks;
mod instance;
mod key_sets;
mod limits;
mod linking;
mod load_error;
mod machine_code;
mod made_fields;
mod mailbox;
mod metering;
mod module;
mod module_limits;
mod network_callbacks;
mod node;
mod plugin;
mod quotas;
mod restocking;
mod root_callbacks;
mod sandbox_engine;
mod shared;
mod slow_call;
mod state;
mod stopwatch;
mod strict_maps;
mod ticker;
mod told_phase;
mod usage;
mod vm;
mod wasi;
mod work_share;
mod worker_instances;

pub use abi::{AbiVersion, MapError, Pair, decode_pairs, encode_pairs};
pub use agenda::{Begun, Caller};
pub use call_line::{CallLine, Hangup, Message};
pub use call_memory::{NoRoom, Room};
pub use call_targets::{CallTarget, CallTargets};
pub use capability_manifest::read_capability_manifest;
pub use consumption::Consumption;
pub use effects::{
    Action, Direction, Effects, EndOfStream, FaultKind, LocalReply, PluginFault, Resumed, StreamId,
};
pub use engine::{Engine, EngineError};
pub use errands::{Call, CallId, CallKind, CallReply};
pub use fault_log::FaultRecord;
pub use grpc_frames::{GrpcFrameError, GrpcFrames};
pub use held::Parked;
pub use hooks::Hooks;
pub use http_callbacks::Closed;
pub use instance::{Instance, Meeting};
pub use load_error::{GuestLog, LoadError};
pub use module::{MODULE_LIMIT, Module};
pub use network_callbacks::ClosedBy;
pub use node::NodeMetadata;
pub use plugin::{Plugin, PluginSlot, PluginStatus};
pub use worker_instances::WorkerInstances;

#[cfg(test)]
mod tests;
