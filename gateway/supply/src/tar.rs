//! The one file of a tar archive that is wanted.

const BLOCK: usize = 512;
/// So many entries are looked at.
const MOST_ENTRIES: usize = 100_000;

/// The contents of the regular file whose last part of the path is `name`; the first one. Never a link, and nothing is
/// written anywhere.
pub fn find_in_tar<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = archive;
    let mut long_name: Option<&[u8]> = None;
    for _ in 0..MOST_ENTRIES {
        let (header, after) = rest.split_at_checked(BLOCK)?;
        let size = read_size(header)?;
        let contents = after.get(..size)?;
        match header.get(156)? {
            b'0' | 0 => {
                let path = long_name.take().or_else(|| path_of(header))?;
                if path.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes()) {
                    return Some(contents);
                }
            }
            // GNU's and POSIX's ways of saying a name that is too long for the header.
            b'L' => long_name = Some(until_zero(contents)),
            b'x' => long_name = path_in_records(contents).or(long_name),
            b'g' => {}
            _ => long_name = None,
        }
        rest = after.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
    None
}

fn path_of(header: &[u8]) -> Option<&[u8]> {
    header.get(..100).map(until_zero)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits; GNU's binary sizes are for files larger than any layer.
fn read_size(header: &[u8]) -> Option<usize> {
    let digits = header.get(124..136)?;
    let digits = until_zero(digits).trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.is_empty())?;
    usize::from_str_radix(text, 8).ok()
}

/// `LENGTH path=VALUE\n` among records of that form.
fn path_in_records(mut records: &[u8]) -> Option<&[u8]> {
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return path.strip_suffix(b"\n");
        }
        records = records.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        header[156] = kind;
        header.extend(contents);
        header.resize(BLOCK + contents.len().next_multiple_of(BLOCK), 0);
        header
    }

    #[test]
    fn the_file_is_found_wherever_it_lies() {
        let path = format!("{}/plugin.wasm", "d".repeat(120));
        let record = format!(" path={path}\n");
        let record = format!("{}{record}", record.len() + 3);
        for archive in [
            [entry("other", b'0', b"no"), entry("./plugin.wasm", b'0', b"yes")].concat(),
            [entry("dir/", b'5', b""), entry("dir/plugin.wasm", 0, b"yes")].concat(),
            [entry("x", b'x', record.as_bytes()), entry("cut", b'0', b"yes")].concat(),
            [entry("x", b'L', format!("{path}\0").as_bytes()), entry("c", b'0', b"yes")].concat(),
        ] {
            assert_eq!(find_in_tar(&archive, "plugin.wasm"), Some(&b"yes"[..]));
        }
        let link = entry("plugin.wasm", b'2', b"");
        assert_eq!(find_in_tar(&link, "plugin.wasm"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_lead_outside(bytes: Vec<u8>, size in 0..2000usize) {
            let mut archive = entry("plugin.wasm", b'0', &bytes);
            archive.truncate(size);
            let found = find_in_tar(&archive, "plugin.wasm");
            prop_assert!(found.is_none() || found == Some(&bytes[..]));
        }
    }
}
