//! Randomness of the host, fit for secrets.
//!
//! The mock host gives the same series in every run; [`Host::set_seed`](crate::mock::Host::set_seed) begins another.

use crate::{HostError, host};

/// Fills the bytes.
///
/// ```
/// # portcullis_sdk::mock::Host::new();
/// let mut nonce = [0; 12];
/// portcullis_sdk::random::fill(&mut nonce)?;
/// assert_ne!(nonce, [0; 12]);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
pub fn fill(bytes: &mut [u8]) -> Result<(), HostError> {
    host::random(bytes)
}

/// So many bytes.
///
/// ```
/// # portcullis_sdk::mock::Host::new();
/// let key: [u8; 32] = portcullis_sdk::random::bytes()?;
/// assert_ne!(key, portcullis_sdk::random::bytes()?);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
pub fn bytes<const N: usize>() -> Result<[u8; N], HostError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A number below a bound, each with the same probability; 0 when the bound is.
///
/// ```
/// # portcullis_sdk::mock::Host::new();
/// // One request of a hundred.
/// let is_sampled = portcullis_sdk::random::below(100)? == 0;
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
pub fn below(bound: u32) -> Result<u32, HostError> {
    // Lemire's method: what would make the low numbers likelier is drawn again.
    let unfair = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
    loop {
        let drawn = u64::from(u32::from_le_bytes(bytes()?)) * u64::from(bound);
        if drawn as u32 >= unfair {
            return Ok((drawn >> 32) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::Host;

    #[test]
    fn a_series_is_repeatable_and_does_not_repeat_itself() {
        let host = Host::new();
        let first: [u8; 13] = bytes().unwrap();
        let second: [u8; 13] = bytes().unwrap();
        assert_ne!(first, second);
        host.set_seed(0);
        assert_eq!(first, bytes().unwrap());
        host.set_seed(1);
        assert_ne!(first, bytes().unwrap());
    }

    #[test]
    fn every_number_below_the_bound_comes() {
        Host::new();
        let mut seen = [0_u32; 6];
        for _ in 0..600 {
            seen[below(6).unwrap() as usize] += 1;
        }
        assert!(seen.iter().all(|count| (50..150).contains(count)), "{seen:?}");
        assert_eq!((below(0).unwrap(), below(1).unwrap()), (0, 0));
    }
}
