//! The buckets of rate limits: what names the same shares one, and one that did not change outlives a reload.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use portcullis_filters::{Bucket, RateLimit};
use portcullis_model::{Listener, Model, RuleFilters};

/// Every bucket of a snapshot, by its name.
#[derive(Clone, Default)]
pub(crate) struct Buckets(Arc<HashMap<Arc<str>, Arc<Bucket>>>);

impl Buckets {
    /// Those of a model; where the limit is as before, as full as they were.
    pub(crate) fn build(model: &Model, before: Option<(&Model, &Buckets)>) -> Self {
        let as_before = before.filter(|(before, _)| has_same_limits(model, before));
        if let Some((_, buckets)) = as_before {
            return buckets.clone();
        }
        let previous = before.map(|(_, buckets)| buckets);
        let mut buckets: HashMap<Arc<str>, Arc<Bucket>> = HashMap::new();
        let mut now = None;
        for listener in &model.listeners {
            let hosts = listener.virtual_hosts.iter();
            let of_rules =
                hosts.flat_map(|host| &host.rules).filter_map(|rule| limit(&rule.filters));
            for limit in limit(&listener.filters).into_iter().chain(of_rules) {
                if buckets.contains_key(&limit.bucket) {
                    continue;
                }
                let known = previous.and_then(|previous| previous.0.get(&limit.bucket));
                let known = known.filter(|bucket| bucket.limit() == limit).cloned();
                let bucket = known.unwrap_or_else(|| {
                    Arc::new(Bucket::new(limit.clone(), *now.get_or_insert_with(Instant::now)))
                });
                buckets.insert(limit.bucket.clone(), bucket);
            }
        }
        Buckets(Arc::new(buckets))
    }

    /// Whether these are the very same ones.
    pub(crate) fn is_same(&self, other: &Buckets) -> bool {
        let is_same = |(name, bucket): (&Arc<str>, &Arc<Bucket>)| {
            other.0.get(name).is_some_and(|known| Arc::ptr_eq(known, bucket))
        };
        self.0.len() == other.0.len() && self.0.iter().all(is_same)
    }

    /// The one that these filters draw on.
    pub(crate) fn of(&self, filters: &Option<Box<RuleFilters>>) -> Option<Arc<Bucket>> {
        limit(filters).and_then(|limit| self.0.get(&limit.bucket)).cloned()
    }
}

/// Whether all limits are those of an earlier model; only virtual hosts that changed are looked at.
fn has_same_limits(model: &Model, before: &Model) -> bool {
    let is_same = |(now, before): (&Listener, &Listener)| {
        let changes = now.virtual_hosts.changes_since(&before.virtual_hosts);
        let changed = changes.iter().flat_map(|change| change.before.into_iter().chain(change.now));
        let mut rules = changed.flat_map(|host| &host.rules);
        limit(&now.filters) == limit(&before.filters)
            && rules.all(|rule| limit(&rule.filters).is_none())
    };
    model.listeners.len() == before.listeners.len()
        && model.listeners.iter().zip(&before.listeners).all(is_same)
}

fn limit(filters: &Option<Box<RuleFilters>>) -> Option<&RateLimit> {
    filters.as_deref()?.rate_limit.as_ref()?.as_ref()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;

    fn filters(bucket: &str, requests: u32) -> Option<Box<RuleFilters>> {
        let rate_limit = Some(Some(RateLimit {
            bucket: bucket.into(),
            requests,
            interval: Duration::from_secs(60),
            burst: requests,
            status: StatusCode::TOO_MANY_REQUESTS,
        }));
        Some(Box::new(RuleFilters { rate_limit, ..RuleFilters::default() }))
    }

    fn model(all: &[Option<Box<RuleFilters>>]) -> Model {
        let listener = |filters: &Option<Box<RuleFilters>>| portcullis_model::Listener {
            filters: filters.clone(),
            ..portcullis_model::Listener::for_test()
        };
        Model { listeners: all.iter().map(listener).collect(), ..Model::default() }
    }

    #[test]
    fn an_unchanged_limit_keeps_its_bucket_and_names_share_one() {
        let first = model(&[filters("a", 1), filters("b", 1)]);
        let before = Buckets::build(&first, None);
        let after = model(&[filters("a", 1), filters("b", 2), filters("a", 1), None]);
        let after = Buckets::build(&after, Some((&first, &before)));
        let of = |buckets: &Buckets, name, requests| buckets.of(&filters(name, requests)).unwrap();
        assert!(Arc::ptr_eq(&of(&before, "a", 1), &of(&after, "a", 1)));
        assert!(!Arc::ptr_eq(&of(&before, "b", 1), &of(&after, "b", 2)));
        assert_eq!(of(&after, "b", 2).limit().requests, 2);
        assert!(after.of(&None).is_none());
        assert_eq!(after.0.len(), 2);
    }
}
