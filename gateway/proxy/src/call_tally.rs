//! A plugin's call under way, counted when it is over.

use std::rc::Weak;
use std::time::Instant;

use portcullis_telemetry::{CallProtocol, CallResult};
use portcullis_wasm::Caller;

use crate::plugin_call::CallFailure;

/// One call; counted as cancelled unless it is said how it ended.
pub(crate) struct CallTally {
    caller: Weak<dyn Caller>,
    protocol: CallProtocol,
    began: Instant,
    result: CallResult,
}

impl CallTally {
    /// The call begins.
    pub(crate) fn begin(caller: &Weak<dyn Caller>, protocol: CallProtocol) -> Self {
        let (caller, began) = (caller.clone(), Instant::now());
        CallTally { caller, protocol, began, result: CallResult::Cancelled }
    }

    /// It was answered.
    pub(crate) fn answered(&mut self) {
        self.result = CallResult::Answered;
    }

    /// It failed.
    pub(crate) fn failed(&mut self, failure: CallFailure) {
        self.result = match failure {
            CallFailure::Timeout => CallResult::TimedOut,
            CallFailure::Abandoned => CallResult::Cancelled,
            _ => CallResult::Failed,
        };
    }
}

impl Drop for CallTally {
    fn drop(&mut self) {
        if let Some(caller) = self.caller.upgrade() {
            caller.metrics().tallies.call(self.protocol, self.result, self.began.elapsed());
        }
    }
}
