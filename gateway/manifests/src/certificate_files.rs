//! Certificates that manifests name as files: read by whoever converts, since this room does no I/O.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Access to the files of certificates, keys, authorities and revocation lists.
pub struct CertificateFiles<'f> {
    /// The directory of this workload's certificates in the mesh: `cert-chain.pem`, `key.pem` and
    /// `root-cert.pem`, which `ISTIO_MUTUAL` takes.
    mesh: &'f Path,
    read: &'f dyn Fn(&Path) -> Result<Vec<u8>, String>,
    asked: RefCell<BTreeSet<PathBuf>>,
}

impl<'f> CertificateFiles<'f> {
    /// Reads by a function that says why it cannot.
    pub fn new(mesh: &'f Path, read: &'f dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Self {
        CertificateFiles { mesh, read, asked: RefCell::default() }
    }

    /// Where there are none to be read.
    pub fn none() -> Self {
        CertificateFiles::new(Path::new("/etc/certs"), &|_| Err("files are not read here".into()))
    }

    /// Every file that was asked for, readable or not: those to watch.
    pub fn into_asked(self) -> BTreeSet<PathBuf> {
        self.asked.into_inner()
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.asked.borrow_mut().insert(path.to_owned());
        (self.read)(path)
    }

    pub(crate) fn of_mesh(&self, name: &str) -> PathBuf {
        self.mesh.join(name)
    }
}
