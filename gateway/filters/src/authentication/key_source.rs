//! The keys that tokens are verified by: written in the configuration, or fetched by who watches over it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use portcullis_crypto::jose::{KeySet, KeySetError};

/// Where a rule's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// `jwks`: here.
    Inline(KeyText),
    /// Elsewhere.
    Remote(RemoteLocation),
}

/// A key set as it is written. It may hold secrets, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(Arc<str>);

/// Keys that are fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteLocation {
    /// From where.
    pub url: KeyUrl,
    /// `timeout`: how long one fetch may take.
    pub timeout: Duration,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUrl {
    /// `jwksUri`: a key set.
    Keys(Box<str>),
    /// A document that names the key set as its `jwks_uri` (OpenID Connect Discovery 1.0 section 4).
    Discovery {
        /// The document.
        document: Box<str>,
        /// Whose document it has to be.
        issuer: Box<str>,
    },
}

/// A key set, with a number that no other has in this process.
#[derive(Debug)]
pub struct NumberedKeys {
    number: u64,
    set: KeySet,
}

/// Keys that are fetched: what came last, shared by all who verify by them.
#[derive(Debug)]
pub struct RemoteKeys {
    location: RemoteLocation,
    keys: ArcSwapOption<NumberedKeys>,
    wanted: AtomicBool,
    watcher: ArcSwapOption<Watcher>,
    failure: ArcSwapOption<String>,
}

/// Who is told that a token names a key that is not there.
struct Watcher(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// Where a rule finds its keys.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// They never change.
    Inline(Arc<NumberedKeys>),
    /// They are replaced beneath it.
    Remote(Arc<RemoteKeys>),
}

impl KeySource {
    /// The keys of this moment; `None` where none ever came.
    pub(super) fn current(&self) -> Option<Arc<NumberedKeys>> {
        match self {
            KeySource::Inline(keys) => Some(keys.clone()),
            KeySource::Remote(remote) => remote.keys.load_full(),
        }
    }

    /// The number of the keys of this moment.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            KeySource::Inline(keys) => Some(keys.number),
            KeySource::Remote(remote) => remote.keys.load().as_ref().map(|keys| keys.number),
        }
    }

    /// A token names a key that is not among them.
    pub(super) fn miss(&self) {
        let KeySource::Remote(remote) = self else { return };
        // Told once, until somebody has looked.
        if !remote.wanted.swap(true, Ordering::Relaxed)
            && let Some(watcher) = &*remote.watcher.load()
        {
            (watcher.0)();
        }
    }
}

impl NumberedKeys {
    /// Reads a key set (RFC 7517 section 5).
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let set = KeySet::parse(json)?;
        Ok(NumberedKeys { number: NEXT.fetch_add(1, Ordering::Relaxed), set })
    }

    /// None at all: every token is refused.
    pub fn none() -> Self {
        NumberedKeys { number: 0, set: KeySet::default() }
    }

    /// The keys.
    pub fn set(&self) -> &KeySet {
        &self.set
    }

    /// Their number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl RemoteKeys {
    /// Keys that are still to come.
    pub fn new(location: RemoteLocation) -> Self {
        RemoteKeys {
            location,
            keys: ArcSwapOption::empty(),
            wanted: AtomicBool::new(false),
            watcher: ArcSwapOption::empty(),
            failure: ArcSwapOption::empty(),
        }
    }

    /// Where they are.
    pub fn location(&self) -> &RemoteLocation {
        &self.location
    }

    /// Puts fetched keys in the place of those before.
    pub fn replace(&self, keys: NumberedKeys) {
        self.keys.store(Some(Arc::new(keys)));
        self.failure.store(None);
    }

    /// They were fetched again, and are the same.
    pub fn confirm(&self) {
        self.failure.store(None);
    }

    /// They could not be fetched; what came before serves on.
    pub fn fail(&self, why: String) {
        self.failure.store(Some(Arc::new(why)));
    }

    /// Why the last fetch failed, where it did.
    pub fn failure(&self) -> Option<Arc<String>> {
        self.failure.load_full()
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// From now on `told` is called when a token names a key that is not among them: once, until
    /// [`Self::take_wanted`] is asked. It is called on workers, and may neither block nor fail.
    pub fn watch(&self, told: impl Fn() + Send + Sync + 'static) {
        self.watcher.store(Some(Arc::new(Watcher(Box::new(told)))));
    }

    /// Whether a token named a key that is not among them, since this was last asked.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }
}

impl KeyUrl {
    /// What is fetched first.
    pub fn as_str(&self) -> &str {
        match self {
            KeyUrl::Keys(url) | KeyUrl::Discovery { document: url, .. } => url,
        }
    }
}

impl KeyText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<&str> for KeyText {
    fn from(text: &str) -> Self {
        KeyText(text.into())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({} bytes)", self.0.len())
    }
}
