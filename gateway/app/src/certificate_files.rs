//! Reading the certificates that manifests name as files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Larger files hold no certificates.
const LARGEST: u64 = 1 << 20;

/// What a file holds, or why that cannot be told. Only regular files are read: a pipe would never end.
pub(crate) fn read_certificate_file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("this is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("the file is larger than {LARGEST} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sensible_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.pem");
        std::fs::write(&file, "pem").unwrap();
        assert_eq!(read_certificate_file(&file).unwrap(), b"pem");
        assert!(read_certificate_file(directory.path()).unwrap_err().contains("regular"));
        assert!(read_certificate_file(Path::new("/dev/zero")).unwrap_err().contains("regular"));
        assert!(read_certificate_file(&directory.path().join("b")).unwrap_err().contains("read"));
        std::fs::write(&file, vec![b'a'; (LARGEST + 1) as usize]).unwrap();
        assert!(read_certificate_file(&file).unwrap_err().contains("larger"));
    }
}
