//! The manifest that has a pushed module served.

use std::fmt::Write as _;

use portcullis_crypto::SigningKey;
use portcullis_model::ImageReference;

/// What was pushed.
pub(crate) struct Published<'a> {
    pub(crate) name: String,
    pub(crate) reference: &'a ImageReference,
    /// The image's.
    pub(crate) digest: &'a str,
    pub(crate) key: Option<&'a SigningKey>,
    /// Who pushed; `None` where the registry asks nobody.
    pub(crate) login: Option<&'a str>,
}

impl Published<'_> {
    /// A WasmPlugin that names the image by its digest, for Portcullis and Istio alike.
    pub(crate) fn to_manifest(&self) -> String {
        let ImageReference { registry, repository, .. } = self.reference;
        let digest = self.digest;
        let bare = digest.strip_prefix("sha256:").unwrap_or(digest);
        let mut text = format!(
            "# {}\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: {}\nspec:\n  \
             # Without `selector` and `targetRefs` it is for every Gateway of its namespace.\n  \
             url: oci://{registry}/{repository}@{digest}\n  sha256: {bare}\n",
            self.reference, self.name
        );
        if self.login.is_some() {
            text.push_str("  # Where the registry asks who pulls:\n  # imagePullSecret: NAME\n");
        }
        if let Some(key) = self.key {
            text.push_str("  verificationKey: |\n");
            for line in key.public_pem().lines() {
                // Into text; never fails.
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }
}
