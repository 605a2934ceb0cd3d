//! A value that is fetched once for many requests, and anew when it has expired.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::{Error, time};

/// After a failure, a stale value is given out so long before the next attempt.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// A value with an expiry. While one request refreshes it, all others that need it wait for that one; when that one's
/// client leaves, another of them goes on in its place.
///
/// Values are cloned for each caller: put large ones into an `Rc`.
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use portcullis_sdk::prelude::*;
///
/// struct Keys {
///     keys: Cached<Rc<Vec<u8>>>,
/// }
///
/// impl Keys {
///     fn new() -> Self {
///         let keys = Cached::new(Duration::from_secs(300)).stale_while_error(Duration::from_secs(3600));
///         Keys { keys }
///     }
///
///     async fn keys(&self) -> Result<Rc<Vec<u8>>, Error> {
///         self.keys.get(async || Ok::<_, Error>(Rc::new(http("keys").get("/jwks").await?.into_body()))).await
///     }
/// }
/// # Keys::new();
/// ```
#[derive(Debug)]
pub struct Cached<T> {
    lifetime: Duration,
    stale: Duration,
    value: RefCell<Option<Fetched<T>>>,
    refreshing: Cell<bool>,
    /// When the last attempt failed, and how; None after a success.
    failure: RefCell<Option<(Duration, String)>>,
    attempts: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

#[derive(Debug)]
struct Fetched<T> {
    value: T,
    at: Duration,
}

impl<T: Clone> Cached<T> {
    /// Nothing yet; what is fetched is good for so long.
    pub const fn new(lifetime: Duration) -> Self {
        Cached {
            lifetime,
            stale: Duration::ZERO,
            value: RefCell::new(None),
            refreshing: Cell::new(false),
            failure: RefCell::new(None),
            attempts: Cell::new(0),
            waiting: RefCell::new(Vec::new()),
        }
    }

    /// When a refresh fails, the old value serves for so long beyond its life; the next attempt is made a second later.
    pub const fn stale_while_error(mut self, stale: Duration) -> Self {
        self.stale = stale;
        self
    }

    /// The value, if it has not expired.
    pub fn peek(&self) -> Option<T> {
        self.younger_than(self.lifetime)
    }

    /// Forgets the value: the next who needs it fetches it.
    pub fn clear(&self) {
        self.value.replace(None);
    }

    /// Puts a value in, as if it had just been fetched; for [`background`](crate::Filter::background) refreshes.
    pub fn set(&self, value: T) {
        self.value.replace(Some(Fetched { value, at: time::now() }));
        self.failure.replace(None);
    }

    /// The value, fetched if it has expired. The error is that of the one who fetched, for all who waited.
    pub async fn get<E: Into<Error>>(
        &self,
        fetch: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, Error> {
        let mut seen = self.attempts.get();
        loop {
            if let Some(value) = self.peek().or_else(|| self.stale_for_now()) {
                return Ok(value);
            }
            if self.attempts.get() != seen
                && let Some((_, failure)) = &*self.failure.borrow()
            {
                return Err(Error::new(failure.clone()));
            }
            if !self.refreshing.get() {
                return self.refresh(fetch).await;
            }
            seen = self.attempts.get();
            self.refreshed().await;
        }
    }

    async fn refresh<E: Into<Error>>(
        &self,
        fetch: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, Error> {
        let refreshing = Refreshing::begin(self);
        let result = fetch().await.map_err(Into::into);
        self.attempts.set(self.attempts.get() + 1);
        match &result {
            Ok(value) => self.set(value.clone()),
            Err(error) => {
                self.failure.replace(Some((time::now(), error.to_string())));
            }
        }
        drop(refreshing);
        result.or_else(|error| self.younger_than(self.lifetime + self.stale).ok_or(error))
    }

    /// An old value, where the last attempt has just failed.
    fn stale_for_now(&self) -> Option<T> {
        let failed = self.failure.borrow().as_ref().map(|(at, _)| *at)?;
        let just_now = time::now().saturating_sub(failed) < BETWEEN_ATTEMPTS;
        just_now.then(|| self.younger_than(self.lifetime + self.stale)).flatten()
    }

    fn younger_than(&self, age: Duration) -> Option<T> {
        let value = self.value.borrow();
        let fetched = value.as_ref()?;
        (time::now().saturating_sub(fetched.at) < age).then(|| fetched.value.clone())
    }

    /// Waits until nobody refreshes.
    async fn refreshed(&self) {
        poll_fn(|context| {
            if !self.refreshing.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// One who refreshes, until it is done or dropped.
struct Refreshing<'a, T> {
    cached: &'a Cached<T>,
}

impl<'a, T> Refreshing<'a, T> {
    fn begin(cached: &'a Cached<T>) -> Self {
        cached.refreshing.set(true);
        Refreshing { cached }
    }
}

impl<T> Drop for Refreshing<'_, T> {
    fn drop(&mut self) {
        self.cached.refreshing.set(false);
        for waker in self.cached.waiting.take() {
            waker.wake();
        }
    }
}
