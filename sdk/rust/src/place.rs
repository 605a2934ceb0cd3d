//! For which context the module is at work: host calls speak of the one that the host called, until told otherwise.

use std::cell::Cell;

use crate::host;

thread_local! {
    static PLACE: Place = const { Place { effective: Cell::new(0), root: Cell::new(0) } };
}

struct Place {
    effective: Cell<u32>,
    root: Cell<u32>,
}

/// The host calls back for a context.
pub(crate) fn enter(context: u32) {
    PLACE.with(|place| place.effective.set(context));
}

/// Makes host calls speak of a context of this plugin object; false when the host knows it no more.
pub(crate) fn act_for(context: u32, root: u32) -> bool {
    PLACE.with(|place| {
        place.root.set(root);
        if place.effective.get() == context {
            return true;
        }
        let accepted = host::set_effective_context(context).is_ok();
        if accepted {
            place.effective.set(context);
        }
        accepted
    })
}

/// The plugin object at work.
pub(crate) fn root() -> u32 {
    PLACE.with(|place| place.root.get())
}
