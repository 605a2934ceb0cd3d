//! The last version of each object that could be used, for when the next one cannot.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_crypto::Credential;
use portcullis_model::ObjectId;

use crate::kinds::Object;

/// What served last. Empty at start; each conversion returns the one for the next.
#[derive(Clone, Debug, Default)]
pub struct LastGood {
    objects: HashMap<ObjectId, Kept>,
    credentials: HashMap<ServerId, Credential>,
}

/// An object and the file that it stood in.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) object: Object,
    pub(crate) file: Arc<str>,
}

/// A Gateway and one of its servers, by name.
pub(crate) type ServerId = (ObjectId, Arc<str>);

impl LastGood {
    /// The last good version of an object.
    pub(crate) fn object(&self, id: &ObjectId) -> Option<&Kept> {
        self.objects.get(id)
    }

    /// Every object.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&ObjectId, &Kept)> {
        self.objects.iter()
    }

    /// Keeps an object.
    pub(crate) fn keep(&mut self, id: ObjectId, object: Object, file: Arc<str>) {
        self.objects.insert(id, Kept { object, file });
    }

    /// The credential that a server had last.
    pub(crate) fn credential(&self, server: &ServerId) -> Option<&Credential> {
        self.credentials.get(server)
    }

    /// Keeps a server's credential.
    pub(crate) fn keep_credential(&mut self, server: ServerId, credential: Credential) {
        self.credentials.insert(server, credential);
    }
}
