//! What a rule changes in a request's head on its way to a destination.

use http::uri::PathAndQuery;
use portcullis_exchange::RequestHead;
use portcullis_filters::MatchedPath;
use portcullis_message::{Canonical, HeadRules, PathError, canonical_path};
use portcullis_model::Action;

use crate::{CompiledDestination, CompiledRule};

impl CompiledRule {
    /// Rewrites path and authority and applies the rule's, then the destination's header operations.
    /// Returns the path as it was where it was rewritten. `rules` are those of the request's listener.
    ///
    /// # Errors
    /// The rewritten path has no canonical form: rewriting the prefix `/foo` of `/foo..;a` to `/` uncovers a dot
    /// segment.
    pub fn prepare_head(
        &self,
        destination: &CompiledDestination,
        head: &mut RequestHead,
        matched: MatchedPath,
        rules: HeadRules,
    ) -> Result<Option<PathAndQuery>, PathError> {
        let original = self.rewrite(head, matched, rules)?;
        for operations in [&self.rule.request_headers, &destination.settings.request_headers] {
            operations.apply(&mut head.headers);
        }
        Ok(original)
    }

    fn rewrite(
        &self,
        head: &mut RequestHead,
        matched: MatchedPath,
        rules: HeadRules,
    ) -> Result<Option<PathAndQuery>, PathError> {
        let Action::Forward { path_rewrite, .. } = &self.rule.action else {
            return Ok(None);
        };
        if let Some(authority) = &self.authority {
            head.authority = authority.clone();
        }
        let rewrite = path_rewrite.as_ref();
        let Some(rewritten) = rewrite.and_then(|rewrite| rewrite.apply(&head.path, matched)) else {
            return Ok(None);
        };
        let rewritten = match canonical_path(&rewritten, rules)? {
            Canonical::AsSent => rewritten,
            Canonical::Changed(path) => path,
        };
        Ok(Some(std::mem::replace(&mut head.path, rewritten)))
    }
}
