//! What a rule changes in a request's head on its way to a destination.

use http::header::HOST;
use http::uri::PathAndQuery;
use portcullis_exchange::RequestHead;
use portcullis_filters::MatchedPath;
use portcullis_model::Action;

use crate::{CompiledDestination, CompiledRule};

impl CompiledRule {
    /// Rewrites path and authority and applies the rule's, then the destination's header operations.
    /// Returns the path as it was where it was rewritten.
    pub fn prepare_head(
        &self,
        destination: &CompiledDestination,
        head: &mut RequestHead,
        matched: MatchedPath,
    ) -> Option<PathAndQuery> {
        let original = self.rewrite(head, matched);
        for operations in [&self.rule.request_headers, &destination.settings.request_headers] {
            operations.apply(&mut head.headers);
            // Setting `Host` rewrites the authority (Istio's `headers.request.set`).
            if let Some(host) = head.headers.remove(HOST) {
                head.authority = host;
            }
        }
        original
    }

    fn rewrite(&self, head: &mut RequestHead, matched: MatchedPath) -> Option<PathAndQuery> {
        let Action::Forward { path_rewrite, authority_rewrite, .. } = &self.rule.action else {
            return None;
        };
        if let Some(authority) = authority_rewrite.as_ref().and_then(|text| text.parse().ok()) {
            head.authority = authority;
        }
        let rewritten = path_rewrite.as_ref()?.apply(&head.path, matched)?;
        Some(std::mem::replace(&mut head.path, rewritten))
    }
}
