//! Native pure filters, one file each: settings, behaviour, tests.
//!
//! What it is *not*: nothing here does I/O, awaits, or knows how a filter was configured.

mod access_consideration;
mod access_identity;
mod access_policy;
mod access_test;
mod access_value;
mod authentication;
mod authorization;
#[cfg(test)]
mod authorization_tests;
mod cors;
mod direct_response;
mod error_body;
mod fault;
mod header_operations;
mod path_rewrite;
mod pattern;
mod rate_limit;
mod re2;
mod redirect;
mod substitution;

pub use access_consideration::{
    AccessConsideration, AccessVerdict, ConsideredPolicy, PolicyOutcome, consider_access,
};
pub use access_policy::{AccessAction, AccessPolicy, AccessRule, Enforcement};
pub use access_test::{AccessSense, AccessSubject, AccessTest};
pub use access_value::{PathTemplate, PathTemplateError, PathTest, TextTest};
pub use authentication::{
    ClaimHeader, ForeignAudience, JwtRule, KeyLocation, KeySource, KeyText, KeyUrl, NumberedKeys,
    OriginalToken, RemoteKeys, RemoteLocation, RequestAuthentication, TokenCache, TokenPlace,
    TokenRefusal,
};
pub use authorization::{AccessRefusal, Authorization};
pub use cors::{CorsPolicy, OriginMatch, UnmatchedPreflights, is_preflight};
pub use direct_response::DirectResponse;
pub use error_body::{ErrorBody, show_error_body};
pub use fault::{ALL_PARTS, AbortStatus, Aborted, Fault, FaultAbort, FaultDelay};
pub use header_operations::{FieldOperations, HeaderOperations};
pub use path_rewrite::{MatchedPath, PathRewrite};
pub use pattern::{Pattern, PatternError};
pub use rate_limit::{Bucket, RateLimit};
pub use redirect::{Redirect, RedirectPath, RedirectPort, Requested};
pub use substitution::Substitution;
