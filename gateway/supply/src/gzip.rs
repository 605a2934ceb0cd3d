//! Gzip, of which no more comes out than allowed.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::SupplyError;

const MAGIC: &[u8] = b"\x1f\x8b\x08";
const FIXED: usize = 10;
/// Checksum and length.
const TRAILER: usize = 8;

const HAS_CHECKSUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// What is in a file of one member. Its checksum is not looked at: who calls knows the digest of the file.
///
/// # Errors
/// It is no gzip, is cut, or holds more than `limit` bytes, however little it is itself.
pub fn gunzip(file: &[u8], limit: usize) -> Result<Vec<u8>, SupplyError> {
    let broken = || SupplyError::Malformed("the layer is no gzip, or is cut".to_owned());
    let deflated = after_header(file).ok_or_else(broken)?;
    if deflated.len() < TRAILER {
        return Err(broken());
    }
    decompress_to_vec_with_limit(deflated, limit).map_err(|error| {
        if error.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput {
            SupplyError::TooLarge { what: "the layer, decompressed,".to_owned(), limit }
        } else {
            broken()
        }
    })
}

fn after_header(file: &[u8]) -> Option<&[u8]> {
    let flags = *file.strip_prefix(MAGIC)?.first()?;
    let mut rest = file.get(FIXED..)?;
    if flags & HAS_EXTRA != 0 {
        let (low, high) = (*rest.first()?, *rest.get(1)?);
        rest = rest.get(2 + usize::from(u16::from_le_bytes([low, high]))..)?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & HAS_CHECKSUM != 0 { rest.get(2..) } else { Some(rest) }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;

    use super::*;

    fn gzip(flags: u8, fields: &[u8], contents: &[u8]) -> Vec<u8> {
        let mut file = [MAGIC, &[flags, 0, 0, 0, 0, 0, 3], fields].concat();
        file.extend(compress_to_vec(contents, 6));
        file.extend([0; TRAILER]);
        file
    }

    #[test]
    fn every_field_of_the_header_is_passed_over() {
        let all = HAS_CHECKSUM | HAS_EXTRA | HAS_NAME | HAS_COMMENT;
        for file in [gzip(0, b"", b"abc"), gzip(all, b"\x02\0xyname\0comment\0cc", b"abc")] {
            assert_eq!(gunzip(&file, 3).unwrap(), b"abc");
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit_and_a_cut_file_is_refused() {
        let file = gzip(0, b"", &vec![0; 1 << 20]);
        assert!(file.len() < 2000);
        assert!(matches!(gunzip(&file, 1000), Err(SupplyError::TooLarge { limit: 1000, .. })));
        for end in 0..file.len() - TRAILER {
            assert!(matches!(gunzip(&file[..end], 2 << 20), Err(SupplyError::Malformed(_))));
        }
    }
}
