//! JSON Web Tokens, good and bad, each with the verdict that a verifier has to come to: examples of RFC 7515, and what is
//! made of tokens by those who have no key (RFC 8725 and known classes of attack).

mod algorithms;
mod claims;
mod headers;
mod rfc;
mod shapes;
mod signer;
mod spoilt;

pub use signer::Signer;

/// Whose tokens the corpus is about.
pub const TOKEN_ISSUER: &str = "https://issuer.example";
/// Whom they are for.
pub const TOKEN_AUDIENCE: &str = "shop";

/// One token and what has to become of it.
#[derive(Clone, Debug)]
pub struct TokenVector {
    /// What is special about it.
    pub name: String,
    /// The token.
    pub token: String,
    /// Why it is refused; `None` where it is good.
    pub fault: Option<TokenFault>,
}

/// Why a token is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Longer than 16 KiB.
    TooLong,
    /// Not three parts in strict base64url, the first two strict JSON objects.
    Malformed,
    /// `none`, or nothing known.
    Algorithm,
    /// It demands an extension.
    Critical,
    /// No key has its id and goes with its algorithm.
    NoKey,
    /// Signed by none of the keys.
    Signature,
    /// Of another issuer.
    Issuer,
    /// For another audience.
    Audience,
    /// No longer valid.
    Expired,
    /// Not yet valid.
    NotYet,
    /// A registered claim is of the wrong type.
    Claim,
}

/// Keys, and tokens to be verified with them.
#[derive(Debug)]
pub struct TokenCorpus {
    /// The key set that goes with the tokens.
    pub jwks: String,
    /// The tokens.
    pub vectors: Vec<TokenVector>,
    /// One signer for each key that verifies.
    pub signers: Vec<Signer>,
}

impl TokenFault {
    /// What the gateway tells a client of it.
    pub fn said(self) -> &'static str {
        match self {
            TokenFault::TooLong => "Jwt is too long",
            TokenFault::Malformed => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            TokenFault::Algorithm => "Jwt header [alg] is not supported",
            TokenFault::Critical => "Jwt header [crit] is not supported",
            TokenFault::NoKey => "Jwks doesn't have key to match kid or alg from Jwt",
            TokenFault::Signature => "Jwt verification fails",
            TokenFault::Issuer => "Jwt issuer is not configured",
            TokenFault::Audience => "Audiences in Jwt are not allowed",
            TokenFault::Expired => "Jwt is expired",
            TokenFault::NotYet => "Jwt not yet valid",
            TokenFault::Claim => "Jwt payload has a claim of the wrong type",
        }
    }
}

impl TokenCorpus {
    /// Makes keys and tokens; `now` in seconds since 1970.
    pub fn generate(now: u64) -> Self {
        let signers = Signer::all();
        // This one has no business with signatures, whatever it signs.
        let mut encryption = Signer::ecdsa_p256("encryption");
        encryption.key = encryption.key.replace("{", r#"{"use":"enc","#);
        let keys: Vec<&str> =
            signers.iter().chain([&encryption]).map(|signer| &*signer.key).collect();
        let jwks = format!("{{\"keys\":[{}]}}", keys.join(","));
        let mut vectors = Vec::new();
        algorithms::add(&mut vectors, &signers, &encryption, now);
        spoilt::add(&mut vectors, &signers, now);
        headers::add(&mut vectors, &signers, now);
        claims::add(&mut vectors, &signers, now);
        shapes::add(&mut vectors, &signers, now);
        TokenCorpus { jwks, vectors, signers }
    }

    /// The examples of RFC 7515 appendix A, RFC 7519 section 6.1 and RFC 8037 appendix A, each with its own keys. They
    /// are of the issuer `joe` and expired in 2011.
    pub fn of_rfcs() -> Vec<(String, TokenVector)> {
        rfc::examples()
    }
}

/// A payload that is good now.
pub(crate) fn good_claims(now: u64) -> String {
    let end = now + 3600;
    format!(r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}","sub":"ann","exp":{end}}}"#)
}

/// Takes a vector in.
pub(crate) fn put(
    vectors: &mut Vec<TokenVector>,
    name: impl Into<String>,
    token: String,
    fault: impl Into<Option<TokenFault>>,
) {
    vectors.push(TokenVector { name: name.into(), token, fault: fault.into() });
}
