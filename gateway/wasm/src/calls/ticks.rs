//! The host call that sets the period of a plugin's ticks.

use std::time::Duration;

use wasmtime::Linker;

use crate::guest::{Guest, run};
use crate::state::GuestState;

/// A shorter period is lengthened to this: a tick costs every worker a callback.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |guest: Guest<'_>, period: u32| {
            run(guest, "proxy_set_tick_period_milliseconds", |guest| {
                let period = Duration::from_millis(period.into());
                let period = (!period.is_zero()).then(|| period.max(SHORTEST_PERIOD));
                guest.data_mut().errands.set_tick(period);
                Ok(())
            })
        },
    )?;
    Ok(())
}
