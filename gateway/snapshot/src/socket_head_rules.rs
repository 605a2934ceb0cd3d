//! By which rules the heads of a socket's requests are read.

use portcullis_message::{HeadRules, normalise_host};

use crate::{CompiledListener, SocketTable};

impl SocketTable {
    /// The rules for a request to this authority, of which nothing is checked yet. Where no listener takes it, the
    /// safest.
    pub fn head_rules(&self, authority: &[u8]) -> HeadRules {
        match self.common_head_rules {
            Some(rules) => rules,
            None => self.head_rules_of(authority),
        }
    }

    #[cold]
    fn head_rules_of(&self, authority: &[u8]) -> HeadRules {
        let host = normalise_host(std::str::from_utf8(authority).unwrap_or(""));
        let listener = self.routes.find_listener(&host).and_then(|index| self.listeners.get(index));
        listener.map_or(HeadRules::SAFEST, CompiledListener::head_rules)
    }
}

impl CompiledListener {
    /// The rules for its requests.
    pub fn head_rules(&self) -> HeadRules {
        self.settings.requests.head
    }
}
