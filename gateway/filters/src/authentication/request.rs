//! A request before the rules for tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use http::header::HeaderName;
use portcullis_crypto::jose::{Attempts, Expected, Signed, TokenError, UnverifiedToken};
use portcullis_exchange::{Authenticated, Exchange, HeadChange};

use super::cache::{TokenCache, Verified};
use super::key_source::{KeySource, NumberedKeys};
use super::outputs::Outputs;
use super::place::TokenPlace;
use super::refusal::TokenRefusal;
use super::rule::{JwtRule, OriginalToken};
use crate::is_preflight;

/// By how many seconds clocks may differ (Envoy's default).
const LEEWAY: u64 = 60;
/// A request with more tokens is refused: each has to be looked at, and one is what clients send.
const MOST_TOKENS: usize = 16;

/// All `jwtRules` for a listener.
#[derive(Debug)]
pub struct RequestAuthentication {
    rules: Vec<Rule>,
    /// Each place, with the rules that look there.
    places: Vec<(TokenPlace, Vec<usize>)>,
    /// The fields that good tokens are told by.
    outputs: Vec<HeaderName>,
}

#[derive(Debug)]
struct Rule {
    /// No other rule has it.
    number: u64,
    settings: JwtRule,
    keys: KeySource,
}

/// A good token: which rule it fits, and what is known of it.
type Good = (usize, Arc<Verified>);

impl RequestAuthentication {
    /// Rules with their keys.
    pub fn new(rules: Vec<(JwtRule, KeySource)>) -> Self {
        let rules: Vec<Rule> = rules.into_iter().map(Rule::new).collect();
        let mut places: Vec<(TokenPlace, Vec<usize>)> = Vec::new();
        let mut outputs: Vec<HeaderName> = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            for place in &rule.settings.places {
                match places.iter_mut().find(|(known, _)| known == place) {
                    Some((_, rules)) => rules.push(index),
                    None => places.push((place.clone(), vec![index])),
                }
            }
            outputs.extend(rule.settings.output_headers().cloned());
        }
        RequestAuthentication { rules, places, outputs }
    }

    /// Verifies every token that a request brings, and tells the record and the upstream who it is; a request without
    /// any passes, as one does that asks for leave to be sent from another origin, which brings none. One bad token is
    /// enough for a refusal.
    pub fn authenticate(
        &self,
        exchange: &mut Exchange,
        cache: &mut TokenCache,
    ) -> Result<(), TokenRefusal> {
        for name in &self.outputs {
            if exchange.request.headers.remove(name).is_some() {
                exchange.change_head(HeadChange::Fields);
            }
        }
        if is_preflight(&exchange.request.method, &exchange.request.headers) {
            return Ok(());
        }
        let mut good = self.verify_all(exchange, cache)?;
        if good.is_empty() {
            return Ok(());
        }
        self.admit(exchange, &mut good);
        Ok(())
    }

    fn verify_all(
        &self,
        exchange: &Exchange,
        cache: &mut TokenCache,
    ) -> Result<Vec<Good>, TokenRefusal> {
        let (mut good, mut attempts) = (Vec::new(), Attempts::default());
        let now = || {
            let since = exchange.timings.started_at.duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        for (place, rules) in &self.places {
            place.each_token(&exchange.request, |token| {
                if good.len() == MOST_TOKENS {
                    return Err(TokenRefusal::TooManyTokens);
                }
                good.push(self.verify(token, rules, (cache, &mut attempts), now())?);
                Ok(())
            })?;
        }
        Ok(good)
    }

    /// Holds a token against the rules that may be meant for it.
    fn verify(
        &self,
        token: &str,
        rules: &[usize],
        (cache, attempts): (&mut TokenCache, &mut Attempts),
        now: u64,
    ) -> Result<Good, TokenRefusal> {
        if let Some(known) = cache.find(token)
            && let Some(index) = self.fitting(rules, &known)
        {
            let checked = known.validity.check(now, LEEWAY);
            return checked.map(|()| (index, known)).map_err(TokenRefusal::Token);
        }
        let mut presented = Presented::read(token, attempts).map_err(TokenRefusal::Token)?;
        let mut refusal = TokenRefusal::Token(TokenError::Issuer);
        for index in rules {
            let Some(rule) = self.rules.get(*index) else { continue };
            if presented.unverified.claimed_issuer() != Some(&*rule.settings.issuer) {
                continue;
            }
            match rule.verify(&mut presented, now) {
                Ok(verified) => {
                    let verified = Arc::new(verified);
                    cache.keep(token, verified.clone());
                    return Ok((*index, verified));
                }
                Err(why) => refusal = why,
            }
        }
        Err(refusal)
    }

    /// The rule among these by which a known token was verified, with the keys that it still has.
    fn fitting(&self, rules: &[usize], known: &Verified) -> Option<usize> {
        let is_its = |index: &usize| {
            let rule = self.rules.get(*index);
            rule.is_some_and(|rule| {
                rule.number == known.rule && rule.keys.number() == Some(known.keys)
            })
        };
        rules.iter().copied().find(is_its)
    }

    fn admit(&self, exchange: &mut Exchange, good: &mut [Good]) {
        good.sort_by_key(|(rule, _)| *rule);
        // The token that says who it is comes last: of what it could say nothing stands that another one says.
        for (index, verified) in good.iter().rev() {
            let Some(rule) = self.rules.get(*index) else { continue };
            for name in rule.settings.output_headers() {
                exchange.request.headers.remove(name);
            }
            verified.outputs.apply(&mut exchange.request.headers);
            if rule.settings.original == OriginalToken::Removed {
                rule.settings.places.iter().for_each(|place| place.clear(&mut exchange.request));
            }
        }
        let first = good.first();
        exchange.authenticated = first.map(|(_, verified)| verified.identity.clone());
        // There may be a rule for what the token says.
        exchange.change_head(HeadChange::Fields);
    }
}

impl Rule {
    fn new((settings, keys): (JwtRule, KeySource)) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Rule { number: NEXT.fetch_add(1, Ordering::Relaxed), settings, keys }
    }

    fn verify(
        &self,
        presented: &mut Presented<'_, '_>,
        now: u64,
    ) -> Result<Verified, TokenRefusal> {
        let keys = self.keys.current().ok_or(TokenRefusal::NoKeys)?;
        let signed = presented.check_signature(&keys).map_err(|error| {
            if error == TokenError::NoKey {
                self.keys.miss();
            }
            TokenRefusal::Token(error)
        })?;
        let claims = presented.unverified.claims(signed);
        let audiences: Vec<&str> = self.settings.audiences.iter().map(|name| &**name).collect();
        let issuer = Some(&*self.settings.issuer);
        let expected = Expected { now, leeway: LEEWAY, issuer, audiences: &audiences };
        claims.check(&expected).map_err(TokenRefusal::Token)?;
        let validity = claims.validity().map_err(TokenRefusal::Token)?;
        let outputs = Outputs::of(&self.settings, presented.text, claims);
        let subject = claims.text("sub").filter(|subject| !subject.is_empty());
        let principal = subject.map(|subject| format!("{}/{subject}", self.settings.issuer).into());
        let mut claims = claims.clone();
        claims.split_words(self.settings.words());
        let identity = Arc::new(Authenticated { principal, claims });
        Ok(Verified { rule: self.number, keys: keys.number(), validity, identity, outputs })
    }
}

/// A token that a request brings. It is read once, and held against the same keys once, however many rules there are.
struct Presented<'t, 'a> {
    text: &'t str,
    unverified: UnverifiedToken<'t>,
    /// By the number of the keys, what came of it.
    checked: Vec<(u64, Result<Signed, TokenError>)>,
    attempts: &'a mut Attempts,
}

impl<'t, 'a> Presented<'t, 'a> {
    fn read(text: &'t str, attempts: &'a mut Attempts) -> Result<Self, TokenError> {
        let unverified = UnverifiedToken::read(text)?;
        Ok(Presented { text, unverified, checked: Vec::new(), attempts })
    }

    fn check_signature(&mut self, keys: &NumberedKeys) -> Result<Signed, TokenError> {
        let known = self.checked.iter().find(|(number, _)| *number == keys.number());
        if let Some((_, known)) = known {
            return *known;
        }
        let checked = self.unverified.check_signature(keys.set(), self.attempts);
        self.checked.push((keys.number(), checked));
        checked
    }
}
