//! What Proxy-Wasm fixes between host and guest: versions, numbers, the map format, the callbacks' types.

mod callbacks;
mod map_codec;
mod status;
mod version;

pub(crate) use callbacks::{
    BodyCallback, Callbacks, CloseCallback, HeadersCallback, RootCallbacks, find_allocator,
};
pub use map_codec::{MapError, Pair, decode_pairs, encode_pairs};
pub(crate) use map_codec::{encode_pairs_into, encoded_length};
pub(crate) use status::Status;
pub use version::AbiVersion;
