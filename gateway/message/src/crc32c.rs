//! CRC-32C (Castagnoli; RFC 3720 appendix B.4), as a PROXY header may carry one.

use std::ops::Range;

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of these bytes with those of `hole` taken as zero. Bit by bit: it is for a few hundred bytes, once
/// for a connection.
pub(crate) fn crc32c_without(bytes: &[u8], hole: Range<usize>) -> u32 {
    let register = bytes.iter().enumerate().fold(!0, |register, (index, byte)| {
        let byte = if hole.contains(&index) { 0 } else { *byte };
        (0..8).fold(register ^ u32::from(byte), |register, _| {
            (register >> 1) ^ (POLYNOMIAL & (register & 1).wrapping_neg())
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values() {
        assert_eq!(crc32c_without(b"123456789", 0..0), 0xE306_9283);
        assert_eq!(crc32c_without(&[0; 32], 0..0), 0x8A91_36AA);
        assert_eq!(crc32c_without(&[9; 32], 0..32), 0x8A91_36AA);
    }
}
