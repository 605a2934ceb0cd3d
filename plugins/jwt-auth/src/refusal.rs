//! Why a request is refused, and the reply that says so.

use portcullis_sdk::Reply;

/// A reason for 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    TooLong,
    Malformed,
    BadHeader,
    BadPayload,
    Critical,
    Algorithm,
    UnknownIssuer,
    NoKey,
    BadSignature,
    CannotVerify,
    Expired,
    NotYetValid,
    BadTime,
    Audience,
}

impl Refusal {
    /// The sentence in the body and in `www-authenticate`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refusal::Missing => "no token was sent",
            Refusal::TooLong => "the token is too long",
            Refusal::Malformed => {
                "the token is not of the form header.payload.signature in base64url"
            }
            Refusal::BadHeader => "the token's header is not valid",
            Refusal::BadPayload => "the token's payload is not valid",
            Refusal::Critical => "the token demands an extension that is not supported",
            Refusal::Algorithm => "the token's algorithm does not belong to any key",
            Refusal::UnknownIssuer => "the token's issuer is not known",
            Refusal::NoKey => "the token names a key that is not known",
            Refusal::BadSignature => "the token's signature is wrong",
            Refusal::CannotVerify => "the token's signature could not be verified",
            Refusal::Expired => "the token has expired",
            Refusal::NotYetValid => "the token is not valid yet",
            Refusal::BadTime => "the token's exp or nbf is no time",
            Refusal::Audience => "the token is meant for another audience",
        }
    }

    fn details(self) -> &'static str {
        match self {
            Refusal::Missing => "jwt_missing",
            Refusal::TooLong => "jwt_too_long",
            Refusal::Malformed | Refusal::BadHeader | Refusal::BadPayload | Refusal::BadTime => {
                "jwt_malformed"
            }
            Refusal::Critical => "jwt_critical_extension",
            Refusal::Algorithm => "jwt_algorithm",
            Refusal::UnknownIssuer => "jwt_unknown_issuer",
            Refusal::NoKey => "jwt_unknown_key",
            Refusal::BadSignature => "jwt_bad_signature",
            Refusal::CannotVerify => "jwt_unverifiable",
            Refusal::Expired => "jwt_expired",
            Refusal::NotYetValid => "jwt_not_yet_valid",
            Refusal::Audience => "jwt_audience",
        }
    }

    /// 401 with the challenge of RFC 6750: an error is named only where there was a token.
    pub(crate) fn reply(self) -> Reply {
        let challenge = match self {
            Refusal::Missing => "Bearer realm=\"jwt-auth\"".to_owned(),
            _ => format!(
                "Bearer realm=\"jwt-auth\", error=\"invalid_token\", error_description=\"{}\"",
                self.reason()
            ),
        };
        Reply::new(401)
            .header("www-authenticate", challenge)
            .header("content-type", "text/plain; charset=utf-8")
            .details(self.details())
            .body(format!("Unauthorized: {}.\n", self.reason()))
    }
}
