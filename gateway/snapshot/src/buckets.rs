//! The buckets of rate limits: what names the same shares one, and one that did not change outlives a reload.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use portcullis_filters::{Bucket, RateLimit};
use portcullis_model::{Model, RuleFilters};

/// Every bucket of a snapshot, by its name.
#[derive(Default)]
pub(crate) struct Buckets(HashMap<Arc<str>, Arc<Bucket>>);

impl Buckets {
    /// Those of a model; where the limit is as before, as full as they were.
    pub(crate) fn build(model: &Model, previous: Option<&Buckets>) -> Self {
        let mut buckets = Buckets::default();
        let mut now = None;
        for listener in &model.listeners {
            let hosts = listener.virtual_hosts.iter();
            let of_rules =
                hosts.flat_map(|host| &host.rules).filter_map(|rule| limit(&rule.filters));
            for limit in limit(&listener.filters).into_iter().chain(of_rules) {
                if buckets.0.contains_key(&limit.bucket) {
                    continue;
                }
                let known = previous.and_then(|previous| previous.0.get(&limit.bucket));
                let known = known.filter(|bucket| bucket.limit() == limit).cloned();
                let bucket = known.unwrap_or_else(|| {
                    Arc::new(Bucket::new(limit.clone(), *now.get_or_insert_with(Instant::now)))
                });
                buckets.0.insert(limit.bucket.clone(), bucket);
            }
        }
        buckets
    }

    /// The one that these filters draw on.
    pub(crate) fn of(&self, filters: &Option<Box<RuleFilters>>) -> Option<Arc<Bucket>> {
        limit(filters).and_then(|limit| self.0.get(&limit.bucket)).cloned()
    }
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
        let before = Buckets::build(&model(&[filters("a", 1), filters("b", 1)]), None);
        let after = model(&[filters("a", 1), filters("b", 2), filters("a", 1), None]);
        let after = Buckets::build(&after, Some(&before));
        let of = |buckets: &Buckets, name, requests| buckets.of(&filters(name, requests)).unwrap();
        assert!(Arc::ptr_eq(&of(&before, "a", 1), &of(&after, "a", 1)));
        assert!(!Arc::ptr_eq(&of(&before, "b", 1), &of(&after, "b", 2)));
        assert_eq!(of(&after, "b", 2).limit().requests, 2);
        assert!(after.of(&None).is_none());
        assert_eq!(after.0.len(), 2);
    }
}
