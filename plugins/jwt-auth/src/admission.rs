//! Deciding about one token: remembered, or taken apart and checked step by step.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_sdk::time;

use crate::cache::TokenCache;
use crate::location::Location;
use crate::refusal::Refusal;
use crate::rules::{self, OriginalToken, OutputSource, Rule};
use crate::token::Token;

/// The rules, and the tokens that they accepted.
pub(crate) struct Admission {
    rules: Vec<Rule>,
    output_headers: Vec<String>,
    leeway: f64,
    accepted: RefCell<TokenCache<Verified>>,
}

/// What is known of an accepted token.
#[derive(Clone)]
pub(crate) struct Verified(Rc<Facts>);

struct Facts {
    rule: usize,
    original_token: OriginalToken,
    /// Seconds since 1970 with the leeway in it; infinite where the token has no end.
    ends: f64,
    /// By the order of [`rules::output_headers`].
    outputs: Vec<Option<Vec<u8>>>,
}

impl Verified {
    /// The value of the output header with this number.
    pub(crate) fn output(&self, index: usize) -> Option<&[u8]> {
        self.0.outputs.get(index)?.as_deref()
    }

    /// Whether the upstream gets to see the token.
    pub(crate) fn keeps_token(&self) -> bool {
        self.0.original_token == OriginalToken::Forwarded
    }
}

impl Admission {
    pub(crate) fn new(rules: Vec<Rule>, leeway: u32) -> Self {
        Admission {
            output_headers: rules::output_headers(&rules),
            rules,
            leeway: f64::from(leeway),
            accepted: RefCell::new(TokenCache::new()),
        }
    }

    /// A token accepted before and still good. Its beginning was checked then; only its end can have come since.
    pub(crate) fn recall(&self, location: &Location, token: &[u8]) -> Option<Verified> {
        let mut accepted = self.accepted.borrow_mut();
        let verified = accepted.find(token)?;
        if verified.0.ends <= now() {
            accepted.remove(token);
            return None;
        }
        location.accepts(verified.0.rule).then_some(verified)
    }

    /// Checks a token and remembers it.
    pub(crate) fn verify(&self, location: &Location, bytes: &[u8]) -> Result<Verified, Refusal> {
        let token = Token::parse(bytes)?;
        let (index, rule) = self.find_rule(location, &token)?;
        check_signature(rule, &token)?;
        let ends = self.check_times(&token)?;
        if !rule.audiences.is_empty() && !token.claims.names_audience(&rule.audiences) {
            return Err(Refusal::Audience);
        }
        let outputs = self.outputs(rule, &token);
        let facts = Facts { rule: index, original_token: rule.original_token, ends, outputs };
        let verified = Verified(Rc::new(facts));
        self.accepted.borrow_mut().insert(bytes, verified.clone());
        Ok(verified)
    }

    fn find_rule(&self, location: &Location, token: &Token<'_>) -> Result<(usize, &Rule), Refusal> {
        let issuer = token.claims.issuer().ok_or(Refusal::UnknownIssuer)?;
        let mut rules = self.rules.iter().enumerate();
        rules
            .find(|(index, rule)| location.accepts(*index) && rule.issuer == issuer)
            .ok_or(Refusal::UnknownIssuer)
    }

    /// The end with its leeway.
    fn check_times(&self, token: &Token<'_>) -> Result<f64, Refusal> {
        let now = now();
        let ends = token.claims.time("exp")?.map_or(f64::INFINITY, |end| end + self.leeway);
        let begins =
            token.claims.time("nbf")?.map_or(f64::NEG_INFINITY, |begin| begin - self.leeway);
        if ends <= now {
            return Err(Refusal::Expired);
        }
        if begins > now {
            return Err(Refusal::NotYetValid);
        }
        Ok(ends)
    }

    fn outputs(&self, rule: &Rule, token: &Token<'_>) -> Vec<Option<Vec<u8>>> {
        let value_of = |header: &String| {
            rule.outputs.iter().filter(|output| output.header == *header).find_map(|output| {
                match &output.from {
                    OutputSource::Claim(path) => token.claims.as_header(path),
                    OutputSource::Payload => Some(token.payload.to_vec()),
                }
            })
        };
        self.output_headers.iter().map(value_of).collect()
    }
}

/// The key decides the algorithm; a token that names another one is refused before anything is computed.
fn check_signature(rule: &Rule, token: &Token<'_>) -> Result<(), Refusal> {
    let named = rule.keys.iter().filter(|key| key.answers_to(token.header.kid.as_deref()));
    let mut refusal = Refusal::NoKey;
    for key in named {
        if key.algorithm() != token.header.alg {
            if refusal == Refusal::NoKey {
                refusal = Refusal::Algorithm;
            }
            continue;
        }
        match key.verifies(token.signed, &token.signature) {
            Ok(true) => return Ok(()),
            Ok(false) => refusal = Refusal::BadSignature,
            Err(error) => {
                portcullis_sdk::warn!("the host could not verify a token's signature: {error}");
                refusal = Refusal::CannotVerify;
            }
        }
    }
    Err(refusal)
}

fn now() -> f64 {
    time::now().as_secs_f64()
}
