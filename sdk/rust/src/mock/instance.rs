//! One module in memory: started with a configuration, called context by context, dead after a trap.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::guest::Guest;
use crate::host::{Trap, with_state};

pub(crate) struct Instance {
    guest: Box<dyn Guest>,
    root: u32,
    /// What was logged last before it trapped.
    trapped: RefCell<Option<String>>,
}

impl Instance {
    /// Starts and configures the module as a host does; the error is what it logged.
    pub(crate) fn start(guest: Box<dyn Guest>, configuration: &str) -> Result<Self, String> {
        let root = with_state(|state| {
            let root = state.new_context();
            state.roots.insert(root);
            state.configuration = configuration.as_bytes().to_vec();
            root
        });
        let instance = Instance { guest, root, trapped: RefCell::new(None) };
        let started = instance.call(root, |guest| {
            guest.on_context_create(root, 0);
            guest.on_vm_start() && guest.on_configure(root, configuration.len())
        });
        // Envoy's rule: the configuration is there while the module is configured.
        with_state(|state| state.configuration.clear());
        match started {
            Some(true) => Ok(instance),
            _ => Err(last_line()),
        }
    }

    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// The line that it logged before it trapped; None while it lives.
    pub(crate) fn trapped(&self) -> Option<String> {
        self.trapped.borrow().clone()
    }

    /// Calls the module for a context; None when it is dead, or dies of it. A panic that is no trap is the test's own.
    pub(crate) fn call<T>(
        &self,
        context: u32,
        callback: impl FnOnce(&dyn Guest) -> T,
    ) -> Option<T> {
        if self.trapped.borrow().is_some() {
            return None;
        }
        with_state(|state| state.context = context);
        match catch_unwind(AssertUnwindSafe(|| callback(&*self.guest))) {
            Ok(result) => Some(result),
            Err(cause) if cause.is::<Trap>() => {
                *self.trapped.borrow_mut() = Some(last_line());
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let root = self.root;
        if !std::thread::panicking() && with_state(|state| state.roots.contains(&root)) {
            self.call(root, |guest| {
                guest.on_done(root);
                guest.on_delete(root);
            });
        }
        with_state(|state| {
            state.roots.remove(&root);
            state.events.forget_root(root);
        });
    }
}

fn last_line() -> String {
    with_state(|state| state.log.last().map(|(_, line)| line.clone()).unwrap_or_default())
}
