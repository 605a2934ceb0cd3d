//! What to do where a registry does not take an image.

use portcullis_model::ImageReference;
use portcullis_supply::SupplyError;

use crate::author_error::AuthorError;

/// The error, and what to do; `known` is the name with which it was asked.
pub(crate) fn explained(
    error: &SupplyError,
    reference: &ImageReference,
    known: Option<&str>,
) -> AuthorError {
    let ImageReference { registry, repository, .. } = reference;
    let who = known.map_or("nobody is logged in".to_owned(), |name| format!("as `{name}`"));
    let log_in = format!(
        "log in with `docker login {registry}`, or set PORTCULLIS_REGISTRY_USER and PORTCULLIS_REGISTRY_PASSWORD"
    );
    AuthorError::Failure(match error {
        SupplyError::Unauthorized { asked, .. } => {
            format!("{asked} answers 401 ({who}): {log_in}")
        }
        SupplyError::Rejected { status: 403, .. } => {
            format!(
                "{error} ({who}): whoever pushes needs the right to write to {repository}; {log_in}"
            )
        }
        SupplyError::Rejected { status: 404, .. } | SupplyError::Status { status: 404, .. } => {
            format!(
                "{error}: {registry} knows no repository {repository}, or has no place for artifacts; some registries want a repository made before something is pushed to it"
            )
        }
        SupplyError::Rejected { status: 405, .. } => {
            format!("{error}: {registry} takes no images; it may be a mirror or a cache")
        }
        SupplyError::Rejected { status: 413, .. } => {
            format!(
                "{error}: the module is larger than {registry}, or a proxy before it, lets pass"
            )
        }
        SupplyError::Digest { .. } => {
            format!(
                "{error}: what came there is not what was sent; push again, and look for a proxy that changes bodies"
            )
        }
        SupplyError::Unreachable(why) if why.contains("UnknownIssuer") => {
            format!(
                "{why}: nobody known here vouches for it; name who does with --registry-ca FILE"
            )
        }
        SupplyError::Unreachable(why) if why.contains("TLS:") => {
            format!("{why}: does it speak TLS? One on this machine that does not takes --insecure")
        }
        SupplyError::Unreachable(why) => {
            format!("{why}: is {registry} the right host and port, and up?")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let reference = ImageReference::parse("r.example/team/auth:1").unwrap();
        let told = |error: SupplyError| explained(&error, &reference, Some("me")).to_string();
        let rejected = |status| {
            let asked = "https://r.example/v2/team/auth/blobs/uploads/".to_owned();
            told(SupplyError::Rejected { asked, status, said: "DENIED".to_owned() })
        };
        assert!(rejected(403).contains("DENIED (as `me`): whoever pushes needs the right"));
        assert!(rejected(404).contains("no repository team/auth"));
        assert!(rejected(413).contains("larger"));
        let unauthorized =
            SupplyError::Unauthorized { asked: "x".to_owned(), challenges: Vec::new() };
        assert!(told(unauthorized).contains("`docker login r.example`"));
        let unknown = SupplyError::Unreachable("x: TLS: invalid peer: UnknownIssuer".to_owned());
        assert!(told(unknown).contains("--registry-ca"));
    }
}
