//! Texts that many objects have, kept once: kinds and namespaces.

use std::collections::HashSet;
use std::sync::Arc;

/// The texts seen so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    seen: HashSet<Arc<str>>,
}

impl Names {
    /// The text, in memory that all who asked for it share.
    pub(crate) fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.seen.get(text) {
            return Arc::clone(known);
        }
        let made: Arc<str> = text.into();
        self.seen.insert(Arc::clone(&made));
        made
    }
}
