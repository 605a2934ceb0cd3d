//! What a client hears whose token is bad, as Envoy's `jwt_authn` says it.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use portcullis_crypto::jose::TokenError;
use portcullis_exchange::RequestHead;
use portcullis_message::Reply;

/// So much of the request's URL is repeated.
const LONGEST_REALM: usize = 256;

/// Why a request is refused for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The token is bad.
    Token(TokenError),
    /// There is nothing yet to verify it by.
    NoKeys,
    /// The request brings more than sixteen.
    TooManyTokens,
}

/// What becomes of a token that is good, but for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignAudience {
    /// 401, as of any bad token.
    #[default]
    Unauthorized,
    /// 403, as in Envoy.
    Forbidden,
}

impl TokenRefusal {
    /// The reply, which says why. The details for the record are [`Self::details`].
    pub fn reply(self, request: &RequestHead, audience: ForeignAudience) -> Reply {
        let is_foreign = self == TokenRefusal::Token(TokenError::Audience);
        let mut reply = Reply::status(match audience {
            ForeignAudience::Forbidden if is_foreign => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        });
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let challenge = format!("Bearer realm=\"{}\", error=\"invalid_token\"", realm(request));
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            reply.headers.insert(WWW_AUTHENTICATE, challenge);
        }
        reply.body = self.text().into();
        reply
    }

    /// As the access log's `%RESPONSE_CODE_DETAILS%` has it.
    pub fn details(self) -> String {
        format!("jwt_authn_access_denied{{{}}}", self.text().replace(' ', "_"))
    }

    /// In the words that Envoy has for it, where it has some.
    pub fn text(self) -> &'static str {
        let error = match self {
            TokenRefusal::Token(error) => error,
            TokenRefusal::NoKeys => return "Jwks remote fetch is failed",
            TokenRefusal::TooManyTokens => return "Jwts are too many",
        };
        match error {
            TokenError::Attempts => "Jwt does not say which key of many has signed it",
            TokenError::TooLong => "Jwt is too long",
            TokenError::Malformed => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            TokenError::Algorithm => "Jwt header [alg] is not supported",
            TokenError::Critical => "Jwt header [crit] is not supported",
            TokenError::NoKey => "Jwks doesn't have key to match kid or alg from Jwt",
            TokenError::Signature => "Jwt verification fails",
            TokenError::Issuer => "Jwt issuer is not configured",
            TokenError::Audience => "Audiences in Jwt are not allowed",
            TokenError::Expired => "Jwt is expired",
            TokenError::NotYet => "Jwt not yet valid",
            TokenError::Claim => "Jwt payload has a claim of the wrong type",
        }
    }
}

/// The request's URL without its query, in which there may be a token.
fn realm(request: &RequestHead) -> String {
    let (scheme, authority, path) = (request.scheme, request.authority_str(), request.path.path());
    let url = format!("{scheme}://{authority}{path}");
    let is_plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    url.chars().filter(is_plain).take(LONGEST_REALM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_repeats_no_token() {
        let request = RequestHead {
            authority: HeaderValue::from_static("a.example"),
            path: "/x\"y?access_token=secret"
                .parse()
                .unwrap_or_else(|_| "/xy?access_token=secret".parse().unwrap()),
            ..RequestHead::default()
        };
        let refusal = TokenRefusal::Token(TokenError::Expired);
        let reply = refusal.reply(&request, ForeignAudience::Forbidden);
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        let challenge = reply.headers.get(WWW_AUTHENTICATE).unwrap();
        assert_eq!(challenge, "Bearer realm=\"http://a.example/xy\", error=\"invalid_token\"");
        assert_eq!(&reply.body[..], b"Jwt is expired");
        assert_eq!(refusal.details(), "jwt_authn_access_denied{Jwt_is_expired}");
    }

    #[test]
    fn a_foreign_audience_is_forbidden_where_that_is_asked() {
        let refusal = TokenRefusal::Token(TokenError::Audience);
        let status = |audience| refusal.reply(&RequestHead::default(), audience).status;
        assert_eq!(status(ForeignAudience::Unauthorized), StatusCode::UNAUTHORIZED);
        assert_eq!(status(ForeignAudience::Forbidden), StatusCode::FORBIDDEN);
    }
}
