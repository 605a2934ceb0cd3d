//! When `POST /drain_listeners` closes the listeners.

use std::collections::HashMap;
use std::sync::Arc;

/// Begins a drain of the listeners.
pub type DrainListeners = Arc<dyn Fn(ListenerDrain) + Send + Sync>;

/// When the listeners close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerDrain {
    /// At once.
    Now,
    /// `?graceful`: after the drain delay.
    AfterDelay,
    /// `?graceful&skip_exit`: never; every response closes its connection.
    Never,
}

impl ListenerDrain {
    /// `inboundonly` changes nothing: all listeners here are.
    pub(crate) fn of(query: &HashMap<String, String>) -> Self {
        match (query.contains_key("graceful"), query.contains_key("skip_exit")) {
            (false, _) => ListenerDrain::Now,
            (true, false) => ListenerDrain::AfterDelay,
            (true, true) => ListenerDrain::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_envoy() {
        let of = |words: &[&str]| {
            let query = words.iter().map(|word| ((*word).to_owned(), String::new()));
            ListenerDrain::of(&query.collect())
        };
        assert_eq!(of(&[]), ListenerDrain::Now);
        assert_eq!(of(&["inboundonly"]), ListenerDrain::Now);
        assert_eq!(of(&["graceful"]), ListenerDrain::AfterDelay);
        assert_eq!(of(&["skip_exit", "graceful"]), ListenerDrain::Never);
    }
}
