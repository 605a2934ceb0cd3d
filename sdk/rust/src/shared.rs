//! What all instances of a plugin share, whatever worker they run on: values by key, and queues.
//!
//! Plugin objects share with each other only where they were given the same VM id. Nothing is ever deleted by a host: a
//! key per user is a leak.

use crate::abi::Stored;
use crate::{HostError, host};

/// Tries before a value that others write all the time is given up.
const MOST_TRIES: usize = 32;

/// A value under a key.
///
/// ```
/// use portcullis_sdk::Shared;
/// # portcullis_sdk::mock::Host::new();
///
/// const VISITS: Shared = Shared::new("visits");
///
/// VISITS.update(|old| {
///     let visits = old.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
///     (visits + 1).to_le_bytes().to_vec()
/// })?;
/// assert_eq!(VISITS.read()?.as_deref(), Some(&1_u64.to_le_bytes()[..]));
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    key: std::borrow::Cow<'static, str>,
}

impl Shared {
    /// The value under this key; nothing is stored yet.
    pub const fn new(key: &'static str) -> Self {
        Shared { key: std::borrow::Cow::Borrowed(key) }
    }

    /// The value under a key that is made at run time.
    ///
    /// ```
    /// # use portcullis_sdk::Shared;
    /// # portcullis_sdk::mock::Host::new();
    /// let limit = Shared::named(format!("limit of {}", "acme"));
    /// assert_eq!(limit.read()?, None);
    /// # Ok::<(), portcullis_sdk::HostError>(())
    /// ```
    pub fn named(key: impl Into<String>) -> Self {
        Shared { key: std::borrow::Cow::Owned(key.into()) }
    }

    /// The present value; None when nobody has written one.
    ///
    /// ```
    /// # use portcullis_sdk::Shared;
    /// # portcullis_sdk::mock::Host::new();
    /// let banner = Shared::new("banner");
    /// banner.write("closed on Sunday")?;
    /// assert_eq!(banner.read()?.as_deref(), Some(&b"closed on Sunday"[..]));
    /// # Ok::<(), portcullis_sdk::HostError>(())
    /// ```
    pub fn read(&self) -> Result<Option<Vec<u8>>, HostError> {
        Ok(host::shared_data(&self.key)?.map(|(value, _)| value))
    }

    /// Writes a value over whatever is there.
    ///
    /// ```
    /// # use portcullis_sdk::Shared;
    /// # portcullis_sdk::mock::Host::new();
    /// Shared::new("banner").write("open")?;
    /// # Ok::<(), portcullis_sdk::HostError>(())
    /// ```
    pub fn write(&self, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        host::set_shared_data(&self.key, value.as_ref(), None).map(|_| ())
    }

    /// Makes a new value of the old one, and again when somebody else was quicker. Only the very first value has no
    /// version to hold on to: of two instances that write it at once, one is lost.
    ///
    /// ```
    /// # use portcullis_sdk::Shared;
    /// # portcullis_sdk::mock::Host::new();
    /// let seen = Shared::new("seen");
    /// seen.update(|old| [old.unwrap_or_default(), b"a".to_vec()].concat())?;
    /// seen.update(|old| [old.unwrap_or_default(), b"b".to_vec()].concat())?;
    /// assert_eq!(seen.read()?.as_deref(), Some(&b"ab"[..]));
    /// # Ok::<(), portcullis_sdk::HostError>(())
    /// ```
    pub fn update(&self, change: impl Fn(Option<Vec<u8>>) -> Vec<u8>) -> Result<(), HostError> {
        for _ in 0..MOST_TRIES {
            let (old, version) = host::shared_data(&self.key)?.unzip();
            if host::set_shared_data(&self.key, &change(old), version)? == Stored::Done {
                return Ok(());
            }
        }
        Err(HostError::new("set_shared_data", HostError::CAS_MISMATCH))
    }
}

/// A queue: what one instance puts in, whoever is first takes out.
///
/// ```
/// use portcullis_sdk::Queue;
/// # portcullis_sdk::mock::Host::new();
///
/// let events = Queue::open("events")?;
/// events.push("login")?;
/// assert_eq!(events.pop()?.as_deref(), Some(&b"login"[..]));
/// assert_eq!(events.pop()?, None);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    id: u32,
}

impl Queue {
    /// The plugin's own queue of this name, made where there is none.
    pub fn open(name: &str) -> Result<Self, HostError> {
        host::register_queue(name).map(|id| Queue { id })
    }

    /// The queue that plugins with another VM id opened; None when they have not.
    ///
    /// ```
    /// use portcullis_sdk::Queue;
    /// # portcullis_sdk::mock::Host::new();
    /// assert_eq!(Queue::find("audit-vm", "events")?, None);
    /// # Ok::<(), portcullis_sdk::HostError>(())
    /// ```
    pub fn find(vm_id: &str, name: &str) -> Result<Option<Self>, HostError> {
        Ok(host::resolve_queue(vm_id, name)?.map(|id| Queue { id }))
    }

    /// Puts a value at the end.
    pub fn push(self, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        host::enqueue(self.id, value.as_ref())
    }

    /// Takes the oldest value; None when there is none.
    pub fn pop(self) -> Result<Option<Vec<u8>>, HostError> {
        host::dequeue(self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::mock::Host;

    #[test]
    fn an_update_begins_again_when_somebody_was_quicker() {
        Host::new();
        let value = Shared::new("value");
        value.write("0").unwrap();
        let tries = Cell::new(0);
        let append = |old: Option<Vec<u8>>| {
            if tries.replace(tries.get() + 1) == 0 {
                Shared::new("value").write("other").unwrap();
            }
            [old.unwrap_or_default(), b"+".to_vec()].concat()
        };
        value.update(append).unwrap();
        assert_eq!((tries.get(), value.read().unwrap().unwrap()), (2, b"other+".to_vec()));
    }

    #[test]
    fn an_update_that_always_loses_ends() {
        Host::new();
        let value = Shared::new("value");
        value.write("0").unwrap();
        let lose = |_| {
            Shared::new("value").write("other").unwrap();
            Vec::new()
        };
        assert_eq!(value.update(lose).unwrap_err().status(), HostError::CAS_MISMATCH);
        assert_eq!(value.read().unwrap().unwrap(), b"other");
    }

    #[test]
    fn a_queue_is_found_by_its_name() {
        Host::new();
        let queue = Queue::open("q").unwrap();
        assert_eq!(Queue::open("q").unwrap(), queue);
        assert_ne!(Queue::open("other").unwrap(), queue);
        assert_eq!(Queue::find("", "q").unwrap(), Some(queue));
        queue.push("1").unwrap();
        queue.push("2").unwrap();
        assert_eq!(queue.pop().unwrap().unwrap(), b"1");
        assert_eq!(Queue { id: 9 }.pop().unwrap_err().status(), HostError::NOT_FOUND);
    }
}
