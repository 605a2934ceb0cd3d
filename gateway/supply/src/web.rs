//! Getting a URL, with redirects within bounds.

use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{StatusCode, Uri};

use crate::SupplyError;
use crate::challenge::{Challenge, read_challenges};
use crate::origin::NamedBy;
use crate::transport::{Answer, Ask, Transport, shown};

const MOST_REDIRECTS: usize = 5;

/// The answer to a request, which is a good one. A redirect is followed a few times, never to another scheme and never
/// inward; another host learns nothing of who asks.
pub(crate) async fn get(transport: &Transport, first: Ask) -> Result<Answer, SupplyError> {
    let mut ask = first.clone();
    for _ in 0..=MOST_REDIRECTS {
        let answer = transport.ask(&ask).await?;
        if !is_redirect(answer.status) {
            return good(answer, &ask);
        }
        let target = answer.headers.get(LOCATION).and_then(|target| target.to_str().ok());
        let url = target.and_then(|target| resolve(&ask.url, target)).ok_or_else(|| {
            SupplyError::Malformed(format!("{} redirects nowhere", shown(&ask.url)))
        })?;
        if url.scheme() != first.url.scheme() {
            let message =
                format!("{} redirects to {}: another scheme", shown(&ask.url), shown(&url));
            return Err(SupplyError::Forbidden(message));
        }
        if url.authority() != first.url.authority() {
            (ask.authorization, ask.named_by) = (None, NamedBy::Answer);
        }
        ask.url = url;
    }
    Err(SupplyError::Forbidden(format!("{} redirects more than five times", shown(&first.url))))
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn good(answer: Answer, ask: &Ask) -> Result<Answer, SupplyError> {
    let asked = || shown(&ask.url);
    match answer.status.as_u16() {
        200 => Ok(answer),
        // Whoever the answer of another leads to is not told who asks, nor says where that is to be told.
        401 if ask.named_by == NamedBy::Configuration => {
            Err(SupplyError::Unauthorized { asked: asked(), challenges: challenges_of(&answer) })
        }
        // As with one that does not answer: it may be well again soon.
        status @ (408 | 429 | 500..) => {
            Err(SupplyError::Unreachable(format!("{} answers {status}", asked())))
        }
        status => Err(SupplyError::Status { asked: asked(), status, hint: hint(status) }),
    }
}

/// In which ways a server wants to be told who asks.
pub(crate) fn challenges_of(answer: &Answer) -> Vec<Challenge> {
    let fields = answer.headers.get_all(WWW_AUTHENTICATE);
    let readable = fields.iter().filter_map(|value| value.to_str().ok());
    readable.flat_map(read_challenges).collect()
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => ": it wants to know who asks, and a redirect led there, after which nobody is told",
        403 => ": who asks may not have it",
        404 => ": there is no such thing, or who asks may not know of it",
        _ => "",
    }
}

/// An absolute URL, or a path on the same host.
pub(crate) fn resolve(base: &Uri, target: &str) -> Option<Uri> {
    let target: Uri = target.split('#').next()?.parse().ok()?;
    if target.scheme().is_some() {
        return target.host().filter(|host| !host.is_empty()).is_some().then_some(target);
    }
    let path = target.path_and_query()?.clone();
    if !path.as_str().starts_with('/') {
        return None;
    }
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_meant_says_how_it_wants_to_be_told_who_asks() {
        let result = |named_by| {
            let mut headers = http::HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, r#"Bearer realm="https://thief/""#.parse().unwrap());
            let answer = Answer { status: StatusCode::UNAUTHORIZED, headers, body: Vec::new() };
            let url = "https://a.example/x".parse().unwrap();
            let ask = Ask { url, accept: "", authorization: None, limit: 0, named_by, sent: None };
            good(answer, &ask).err().unwrap()
        };
        assert!(matches!(
            result(NamedBy::Configuration),
            SupplyError::Unauthorized { challenges, .. } if challenges.len() == 1
        ));
        assert!(matches!(result(NamedBy::Answer), SupplyError::Status { status: 401, .. }));
    }

    #[test]
    fn redirects_lead_to_urls_or_paths() {
        let base: Uri = "https://a.example:8443/x?y".parse().unwrap();
        let to = |target| resolve(&base, target).map(|url| url.to_string());
        assert_eq!(to("/z?q=1"), Some("https://a.example:8443/z?q=1".to_owned()));
        assert_eq!(to("http://b.example/z#f"), Some("http://b.example/z".to_owned()));
        for nowhere in ["", "z", "https://", "https:///x"] {
            assert_eq!(to(nowhere), None, "{nowhere}");
        }
    }
}
