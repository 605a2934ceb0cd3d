//! The `background` of one plugin object.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::abi::Level;
use crate::timers::sleep;
use crate::waking::{Alarm, Duty};
use crate::{Filter, host};

/// Hosts are ready for calls soon after they configured a plugin, not while they do.
const AFTER_START: Duration = Duration::from_millis(1);
const AFTER_ERROR: Duration = Duration::from_secs(5);

pub(super) struct Background {
    alarm: Arc<Alarm>,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Background {
    pub(super) fn begin<F: Filter>(root: u32, filter: Rc<F>) -> Self {
        let alarm = Alarm::new(Duty::Background);
        alarm.assign(root);
        alarm.wake_by_ref();
        Background {
            waker: Waker::from(alarm.clone()),
            alarm,
            future: Box::pin(async move {
                sleep(AFTER_START).await;
                while let Err(error) = filter.background().await {
                    host::log(Level::Error, &format!("background failed: {error}"));
                    sleep(AFTER_ERROR).await;
                }
            }),
        }
    }

    /// True when it has ended.
    pub(super) fn poll(&mut self) -> bool {
        self.alarm.silence();
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready()
    }
}
