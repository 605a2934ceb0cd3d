//! The last version of each object that could be used, for when the next one cannot.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use portcullis_crypto::{Credential, TrustAnchors};
use portcullis_model::ObjectId;

use crate::kinds::Object;

/// What served last. Empty at start; each conversion returns the one for the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastGood {
    objects: HashMap<Arc<str>, OfKind>,
    /// What the regular expressions of those that have some take, in bytes.
    expressions: HashMap<ObjectId, usize>,
    credentials: HashMap<ServerId, Vec<Credential>>,
    anchors: HashMap<ServerId, KeptAnchors>,
    upstream_tls: HashMap<UpstreamTlsId, KeptUpstreamTls>,
}

/// The object that asks for TLS to an upstream, and the path of its `tls`.
pub(crate) type UpstreamTlsId = (Option<ObjectId>, Box<str>);

/// The objects of one kind; of two with one identity the later counts.
#[derive(Clone, Debug, Default)]
struct OfKind {
    all: Vec<(ObjectId, Kept)>,
    /// Where each stands. Most kinds are never asked for: then nothing was broken.
    places: OnceLock<HashMap<ObjectId, usize>>,
}

impl OfKind {
    fn places(&self) -> &HashMap<ObjectId, usize> {
        let pair = |(place, (id, _)): (usize, &(ObjectId, Kept))| (id.clone(), place);
        self.places.get_or_init(|| self.all.iter().enumerate().map(pair).collect())
    }
}

/// What TLS to an upstream was made with, and the names that it was found by.
#[derive(Clone, Debug)]
pub(crate) struct KeptUpstreamTls {
    pub(crate) reference: String,
    pub(crate) material: UpstreamMaterial,
}

/// Our own certificate, and who vouches for endpoints.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamMaterial {
    pub(crate) credential: Option<Credential>,
    pub(crate) anchors: Option<TrustAnchors>,
}

/// Who vouched for a server's clients, and by which name.
#[derive(Clone, Debug)]
pub(crate) struct KeptAnchors {
    pub(crate) reference: String,
    pub(crate) anchors: TrustAnchors,
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
        let of_kind = self.objects.get(&id.kind)?;
        of_kind.all.get(*of_kind.places().get(id)?).map(|(_, kept)| kept)
    }

    /// Every object.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&ObjectId, &Kept)> {
        self.objects.values().flat_map(|of_kind| {
            let places = of_kind.places().values();
            places.filter_map(|place| of_kind.all.get(*place)).map(|(id, kept)| (id, kept))
        })
    }

    /// Keeps an object, in the place of one that was kept before.
    pub(crate) fn keep(&mut self, id: ObjectId, object: Object, file: Arc<str>) {
        let of_kind = self.objects.entry(id.kind.clone()).or_default();
        of_kind.all.push((id, Kept { object, file }));
        of_kind.places.take();
    }

    /// What the regular expressions of an object take, in bytes.
    pub(crate) fn expressions(&self, id: &ObjectId) -> usize {
        self.expressions.get(id).copied().unwrap_or_default()
    }

    /// Keeps what the regular expressions of an object take.
    pub(crate) fn keep_expressions(&mut self, id: &ObjectId, bytes: usize) {
        if bytes > 0 {
            self.expressions.insert(id.clone(), bytes);
        }
    }

    /// The credentials that a server had last.
    pub(crate) fn credentials(&self, server: &ServerId) -> &[Credential] {
        self.credentials.get(server).map_or(&[], Vec::as_slice)
    }

    /// Keeps a server's credentials.
    pub(crate) fn keep_credentials(&mut self, server: ServerId, credentials: Vec<Credential>) {
        self.credentials.insert(server, credentials);
    }

    /// What TLS to an upstream was made with last.
    pub(crate) fn upstream_tls(&self, id: &UpstreamTlsId) -> Option<&KeptUpstreamTls> {
        self.upstream_tls.get(id)
    }

    /// Keeps what TLS to an upstream is made with.
    pub(crate) fn keep_upstream_tls(&mut self, id: UpstreamTlsId, kept: KeptUpstreamTls) {
        self.upstream_tls.insert(id, kept);
    }

    /// Who vouched for a server's clients last.
    pub(crate) fn anchors(&self, server: &ServerId) -> Option<&KeptAnchors> {
        self.anchors.get(server)
    }

    /// Keeps who vouches for a server's clients.
    pub(crate) fn keep_anchors(
        &mut self,
        server: ServerId,
        reference: String,
        anchors: TrustAnchors,
    ) {
        self.anchors.insert(server, KeptAnchors { reference, anchors });
    }
}
