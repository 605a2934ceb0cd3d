//! Random bytes.

/// Fills a buffer with random bytes fit for keys; `false` where the system has none.
#[must_use]
pub fn fill_random(buffer: &mut [u8]) -> bool {
    aws_lc_rs::rand::fill(buffer).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        assert!(fill_random(&mut one) && fill_random(&mut two));
        assert_ne!(one, two);
    }
}
