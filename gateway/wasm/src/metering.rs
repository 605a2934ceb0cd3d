//! Whether what guests run is counted.

use wasmtime::Store;

/// Whether an engine counts what its guests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metering {
    /// It serves.
    Off,
    /// It measures. No guest ever has used all that it is given: time ends it before.
    Fuel,
}

impl Metering {
    /// A guest without fuel would trap.
    pub(crate) fn fill<T>(self, store: &mut Store<T>) {
        if self == Metering::Fuel {
            // An engine that counts takes it.
            let _ = store.set_fuel(u64::MAX);
        }
    }
}
