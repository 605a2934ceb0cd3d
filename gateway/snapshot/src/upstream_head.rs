//! What a rule changes in a request's head on its way to a destination, and in the reply's on its way back.

use http::HeaderMap;
use http::uri::PathAndQuery;
use portcullis_exchange::RequestHead;
use portcullis_filters::MatchedPath;
use portcullis_message::{Canonical, HeadRules, PathError, canonical_path};
use portcullis_model::{Action, HeaderOrder};

use crate::{CompiledDestination, CompiledRule};

impl CompiledRule {
    /// Rewrites path and authority and carries out header operations.
    /// Returns the path as it was where it was rewritten. `rules` are those of the request's listener.
    ///
    /// # Errors
    /// The rewritten path is none, or has no canonical form: rewriting the prefix `/foo` of `/foo..;a` to `/` uncovers
    /// a dot segment.
    pub fn prepare_head(
        &self,
        destination: &CompiledDestination,
        head: &mut RequestHead,
        matched: MatchedPath,
        rules: HeadRules,
    ) -> Result<Option<PathAndQuery>, PathError> {
        let original = self.rewrite(destination, head, matched, rules)?;
        self.change_request(destination, &mut head.headers);
        Ok(original)
    }

    /// Carries out what is to be done to the head of a request that goes to a destination.
    pub fn change_request(&self, destination: &CompiledDestination, headers: &mut HeaderMap) {
        let (own, its) = (&self.rule.request_headers, &destination.settings.request_headers);
        let in_order = match (&self.one_list, self.rule.header_order) {
            (Some(list), _) => return list.request.apply(headers),
            (None, HeaderOrder::DestinationFirst) => [its, own],
            (None, HeaderOrder::RuleFirst | HeaderOrder::OneList) => [own, its],
        };
        in_order.into_iter().for_each(|operations| operations.apply(headers));
    }

    /// The same of a reply, which may be one that no destination gave.
    pub fn change_reply(&self, destination: Option<&CompiledDestination>, headers: &mut HeaderMap) {
        match (destination, &self.one_list) {
            (Some(_), Some(list)) => return list.reply.apply(headers),
            (Some(destination), None) => destination.settings.response_headers.apply(headers),
            (None, _) => {}
        }
        self.rule.response_headers.apply(headers);
    }

    /// What the destination says of path and authority comes in the place of what the rule says of the same.
    fn rewrite(
        &self,
        destination: &CompiledDestination,
        head: &mut RequestHead,
        matched: MatchedPath,
        rules: HeadRules,
    ) -> Result<Option<PathAndQuery>, PathError> {
        let Action::Forward { path_rewrite, .. } = &self.rule.action else {
            return Ok(None);
        };
        if let Some(authority) = destination.authority.as_ref().or(self.authority.as_ref()) {
            head.authority = http::HeaderValue::clone(authority);
        }
        let change = destination.settings.change.as_deref();
        let own = change.and_then(|change| change.path_rewrite.as_ref());
        let Some(rewrite) = own.or(path_rewrite.as_ref()) else { return Ok(None) };
        // Sent on as it came, it would get where it was not meant to.
        let rewritten = rewrite.apply(&head.path, matched).ok_or(PathError::Byte)?;
        let rewritten = match canonical_path(&rewritten, rules)? {
            Canonical::AsSent => rewritten,
            Canonical::Changed(path) => path,
        };
        Ok(Some(std::mem::replace(&mut head.path, rewritten)))
    }
}
