//! The rules for tokens of all listeners with their keys. What did not change is carried over: keys that were fetched, and
//! with the rules what workers know of tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_filters::{
    JwtRule, KeyLocation, KeySource, NumberedKeys, RemoteKeys, RemoteLocation,
    RequestAuthentication,
};
use portcullis_model::{Authentication, Code, Model, Problem, Severity};

/// Every list of rules of a configuration, and every place that keys are fetched from.
#[derive(Debug, Default)]
pub struct Authentications {
    filters: Vec<(Arc<Authentication>, Arc<RequestAuthentication>)>,
    remote: BTreeMap<RemoteLocation, Arc<RemoteKeys>>,
}

impl Authentications {
    /// Those of a model, which was `previous` before.
    pub(crate) fn compile(model: &Model, previous: Option<&Authentications>) -> Self {
        let mut compiled = Authentications::default();
        for settings in
            model.listeners.iter().filter_map(|listener| listener.authentication.as_ref())
        {
            if compiled.filter(settings).is_some() {
                continue;
            }
            let filter = previous.and_then(|previous| previous.filter(settings));
            compiled.follow(settings, previous);
            let filter = filter.unwrap_or_else(|| compiled.build(settings));
            compiled.filters.push((settings.clone(), filter));
        }
        compiled
    }

    /// The filter of a listener's rules.
    pub(crate) fn filter(&self, settings: &Authentication) -> Option<Arc<RequestAuthentication>> {
        let mut filters = self.filters.iter();
        filters.find(|(known, _)| known.rules == settings.rules).map(|(_, filter)| filter.clone())
    }

    /// The keys that are fetched.
    pub fn remote(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.remote.values()
    }

    /// What could not be fetched of the keys.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let failing = self.remote.values().filter_map(|keys| Some((keys, keys.failure()?)));
        failing.filter_map(|(keys, why)| self.problem(keys, &why)).collect()
    }

    fn problem(&self, keys: &RemoteKeys, why: &str) -> Option<Problem> {
        let location = keys.location();
        let uses =
            |rule: &JwtRule| matches!(&rule.keys, KeyLocation::Remote(used) if used == location);
        let mut users = self.filters.iter().map(|(settings, _)| settings);
        let user = users.find(|settings| settings.rules.iter().any(uses))?;
        let (object, origin) = user.objects.first()?;
        let (severity, consequence) = match keys.has_keys() {
            true => (Severity::Warning, "those fetched before serve on"),
            false => (Severity::Error, "until then every token of their issuer is refused"),
        };
        Some(Problem {
            code: Code("PC0351"),
            severity,
            object: Some(object.clone()),
            field: "spec.jwtRules".to_owned(),
            origin: origin.clone(),
            message: format!("keys for tokens could not be fetched: {why}"),
            help: format!(
                "correct the URL, have the server answer, or allow its address with --jwks-allow; {consequence}"
            ),
        })
    }

    fn follow(&mut self, settings: &Authentication, previous: Option<&Authentications>) {
        for rule in &settings.rules {
            let KeyLocation::Remote(location) = &rule.keys else { continue };
            if self.remote.contains_key(location) {
                continue;
            }
            let known = previous.and_then(|previous| previous.remote.get(location)).cloned();
            let keys = known.unwrap_or_else(|| Arc::new(RemoteKeys::new(location.clone())));
            self.remote.insert(location.clone(), keys);
        }
    }

    fn build(&self, settings: &Authentication) -> Arc<RequestAuthentication> {
        // A token is held against the same keys once, so that what is written twice has to be known as the same.
        let mut inline = HashMap::new();
        let rules =
            settings.rules.iter().map(|rule| (rule.clone(), self.source(&rule.keys, &mut inline)));
        Arc::new(RequestAuthentication::new(rules.collect()))
    }

    fn source<'k>(
        &self,
        location: &'k KeyLocation,
        inline: &mut HashMap<&'k [u8], Arc<NumberedKeys>>,
    ) -> KeySource {
        match location {
            KeyLocation::Inline(text) => {
                // Who made the model has read them; without any its tokens are refused.
                let read = || {
                    NumberedKeys::parse(text.as_bytes()).unwrap_or_else(|_| NumberedKeys::none())
                };
                let keys = inline.entry(text.as_bytes()).or_insert_with(|| Arc::new(read()));
                KeySource::Inline(keys.clone())
            }
            KeyLocation::Remote(location) => {
                let keys = self.remote.get(location).cloned();
                KeySource::Remote(
                    keys.unwrap_or_else(|| Arc::new(RemoteKeys::new(location.clone()))),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_filters::KeyUrl;
    use portcullis_model::Listener;

    use super::*;

    fn model(rules: &[JwtRule]) -> Model {
        let authentication = Authentication { objects: Vec::new(), rules: rules.to_vec() };
        let listener =
            Listener { authentication: Some(Arc::new(authentication)), ..Listener::for_test() };
        Model { listeners: vec![listener.clone(), listener], ..Model::default() }
    }

    fn remote(url: &str) -> JwtRule {
        let url = KeyUrl::Keys(url.into());
        let location = RemoteLocation { url, timeout: Duration::from_secs(5) };
        JwtRule { keys: KeyLocation::Remote(location), ..JwtRule::for_test("a", "") }
    }

    #[test]
    fn fetched_keys_and_unchanged_rules_are_carried_over() {
        let rules = [remote("https://a/keys"), remote("https://b/keys")];
        let first = Authentications::compile(&model(&rules), None);
        assert_eq!((first.filters.len(), first.remote().count()), (1, 2));
        let same = Authentications::compile(&model(&rules), Some(&first));
        let filter = |all: &Authentications| all.filters[0].1.clone();
        assert!(Arc::ptr_eq(&filter(&first), &filter(&same)));
        let fewer = Authentications::compile(&model(&rules[1..]), Some(&same));
        assert!(!Arc::ptr_eq(&filter(&same), &filter(&fewer)));
        let kept: Vec<_> = fewer.remote().collect();
        assert!(kept.len() == 1 && first.remote().any(|keys| Arc::ptr_eq(keys, kept[0])));
    }
}
