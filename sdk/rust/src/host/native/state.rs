//! What the mock host of one thread remembers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::metrics::Metrics;
use crate::HostError;
use crate::abi::{Level, MapKind};

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::new());
}

/// Runs a closure on this thread's state; never nested.
pub(crate) fn with_state<T>(call: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(call)
}

/// Back to the first state.
pub(crate) fn reset() {
    with_state(|state| *state = State::new());
}

/// The payload with which a trap unwinds.
pub(crate) struct Trap;

pub(crate) type Headers = Vec<(String, Vec<u8>)>;
pub(crate) type ForeignFunction = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, HostError>>;

pub(crate) struct State {
    pub(crate) configuration: Vec<u8>,
    request_headers: Headers,
    response_headers: Headers,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    pub(crate) metrics: Metrics,
    pub(crate) foreign_functions: BTreeMap<String, ForeignFunction>,
    pub(crate) now: Duration,
    pub(crate) log_level: Level,
    pub(crate) log: Vec<(Level, String)>,
}

impl State {
    fn new() -> Self {
        State {
            configuration: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            properties: BTreeMap::new(),
            metrics: Metrics::default(),
            foreign_functions: BTreeMap::new(),
            now: Duration::ZERO,
            log_level: Level::Trace,
            log: Vec::new(),
        }
    }

    pub(crate) fn map(&mut self, map: MapKind) -> &mut Headers {
        match map {
            MapKind::RequestHeaders => &mut self.request_headers,
            MapKind::ResponseHeaders => &mut self.response_headers,
        }
    }

    pub(crate) fn set_map(&mut self, map: MapKind, headers: &[(&str, &str)]) {
        *self.map(map) = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
            .collect();
    }

    pub(crate) fn values(&mut self, map: MapKind, name: &str) -> Vec<String> {
        let matching = self.map(map).iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}
