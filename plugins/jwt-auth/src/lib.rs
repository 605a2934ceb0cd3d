//! `jwt-auth`: refuses requests without a good JSON Web Token, and hands chosen claims on as headers.
//!
//! HS256 is verified in the module, RS256 and ES256 by the host. What it is *not*: it fetches no keys (they are inline) and
//! grants no rights beyond "the token is good"; who may do what is an AuthorizationPolicy's business.

mod admission;
mod cache;
mod der;
mod jwk;
mod location;
mod refusal;
mod rules;
mod settings;
mod token;

use portcullis_sdk::HostError;
use portcullis_sdk::prelude::*;

use crate::admission::{Admission, Verified};
use crate::location::Location;
use crate::refusal::Refusal;
use crate::settings::{MissingToken, Settings};

/// The filter.
pub struct JwtAuth {
    admission: Admission,
    locations: Vec<Location>,
    output_headers: Vec<String>,
    missing_token: MissingToken,
}

#[filter]
impl Filter for JwtAuth {
    type Configuration = Settings;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        let rules = rules::compile(&settings)?;
        Ok(JwtAuth {
            locations: location::locations_of(&rules),
            output_headers: rules::output_headers(&rules),
            missing_token: settings.missing_token,
            admission: Admission::new(rules, settings.leeway),
        })
    }

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        let found = match self.verify_tokens(request) {
            Ok(found) => found,
            Err(refusal) => return Ok(refusal.reply().into()),
        };
        if found.is_empty() && self.missing_token == MissingToken::Refuse {
            return Ok(Refusal::Missing.reply().into());
        }
        self.write_outputs(request, &found)?;
        self.settle_token_headers(request, &found)?;
        Ok(Flow::Continue)
    }
}

/// A verified token, where it was, and what else was there.
struct Found<'a> {
    location: &'a Location,
    value: Vec<u8>,
    verified: Verified,
    company: Company,
}

#[derive(PartialEq)]
enum Company {
    /// Further lines of the header, if there are any, have not been looked at.
    Unknown,
    /// All lines of the header were verified.
    Verified,
}

impl JwtAuth {
    /// Verifies every token there is; one bad token is a refusal, however good the others are.
    fn verify_tokens(&self, request: &Request) -> Result<Vec<Found<'_>>, Refusal> {
        let mut found = Vec::new();
        for location in &self.locations {
            let Some(first) = request.headers().first(location.header()) else { continue };
            match self.recall(location, &first) {
                Some(verified) => {
                    let value = first.into_owned();
                    found.push(Found { location, value, verified, company: Company::Unknown });
                }
                None => self.verify_all(request, location, &mut found)?,
            }
        }
        Ok(found)
    }

    fn recall(&self, location: &Location, value: &[u8]) -> Option<Verified> {
        self.admission.recall(location, location.token(value)?)
    }

    fn verify_all<'a>(
        &'a self,
        request: &Request,
        location: &'a Location,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Refusal> {
        for value in request.headers().all(location.header()) {
            if let Some(token) = location.token(value) {
                let verified = self.admission.verify(location, token)?;
                found.push(Found {
                    location,
                    value: value.to_vec(),
                    verified,
                    company: Company::Verified,
                });
            }
        }
        Ok(())
    }

    /// A client must never pass off a header as ours: each is written from a token or removed.
    fn write_outputs(&self, request: &mut Request, found: &[Found<'_>]) -> Result<(), HostError> {
        for (index, header) in self.output_headers.iter().enumerate() {
            match found.iter().find_map(|found| found.verified.output(index)) {
                Some(value) => request.headers_mut().set(header, value)?,
                None => request.headers_mut().remove(header)?,
            }
        }
        Ok(())
    }

    /// Takes the token away, or keeps it: then lines that nobody looked at must not travel beside it.
    fn settle_token_headers(
        &self,
        request: &mut Request,
        found: &[Found<'_>],
    ) -> Result<(), HostError> {
        for Found { location, value, verified, company } in found {
            match (verified.keeps_token(), company) {
                (false, _) => request.headers_mut().remove(location.header())?,
                (true, Company::Unknown) => request.headers_mut().set(location.header(), value)?,
                (true, Company::Verified) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
