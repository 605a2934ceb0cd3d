//! Whether what a TLS handshake established still is what the configuration asks for.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a handshake established of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was asked of it.
    NotAsked,
    /// It satisfied the verification with this fingerprint.
    Verified([u8; 32]),
}

/// The TLS policy that a connection answers to, found anew once for each generation of the configuration.
#[derive(Debug)]
pub struct TlsStanding {
    /// What its handshake established.
    pub verdict: Verdict,
    generation: AtomicU64,
    policy: AtomicU64,
}

/// Where no policy has it; none has this number.
const NONE: u64 = 0;

impl TlsStanding {
    /// Of a handshake under the policy with this number, in a generation.
    pub fn new(verdict: Verdict, generation: u64, policy: u64) -> Self {
        let (generation, policy) = (AtomicU64::new(generation), AtomicU64::new(policy));
        TlsStanding { verdict, generation, policy }
    }

    /// The number of the policy in a generation; `judge` finds it where the generation is another than at the
    /// last time. `None`: the client could not shake hands as it did any more.
    pub fn policy(&self, generation: u64, judge: impl FnOnce() -> Option<u64>) -> Option<u64> {
        // Only its own worker asks, so the two never part.
        if self.generation.load(Ordering::Relaxed) != generation {
            self.policy.store(judge().unwrap_or(NONE), Ordering::Relaxed);
            self.generation.store(generation, Ordering::Relaxed);
        }
        Some(self.policy.load(Ordering::Relaxed)).filter(|policy| *policy != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_is_asked_once() {
        let standing = TlsStanding::new(Verdict::NotAsked, 1, 7);
        assert_eq!(standing.policy(1, || panic!("asked")), Some(7));
        assert_eq!(standing.policy(2, || Some(8)), Some(8));
        assert_eq!(standing.policy(2, || panic!("asked")), Some(8));
        assert_eq!(standing.policy(3, || None), None);
        assert_eq!(standing.policy(3, || panic!("asked")), None);
    }
}
