//! What the binary carries for new projects; `build.rs` packs it.

include!(concat!(env!("OUT_DIR"), "/packed.rs"));
