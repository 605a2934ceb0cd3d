//! Where a request brings a token, and how it is taken out of there.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use portcullis_exchange::RequestHead;

/// Where a token may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// A header field, behind this prefix, which is read in any case; a value without it is none of a token.
    Header {
        /// `fromHeaders[].name`
        name: HeaderName,
        /// `fromHeaders[].prefix`, blanks around it taken off; may be empty.
        prefix: Box<str>,
    },
    /// `fromParams`: a parameter of the query.
    Param(Box<str>),
    /// `fromCookies`
    Cookie(Box<str>),
}

impl TokenPlace {
    /// `Authorization: Bearer` and `access_token` of the query (RFC 6750 sections 2.1 and 2.3).
    pub fn usual() -> Vec<TokenPlace> {
        let bearer = TokenPlace::Header { name: AUTHORIZATION, prefix: "Bearer".into() };
        vec![bearer, TokenPlace::Param("access_token".into())]
    }

    /// Hands each token that stands here to `take`, until that returns an error. A value that is no text is a token
    /// that cannot be good: it comes as an empty one.
    pub(super) fn each_token<E>(
        &self,
        request: &RequestHead,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            TokenPlace::Header { name, prefix } => {
                let values = request.headers.get_all(name);
                values.iter().filter_map(|value| behind(value, prefix)).try_for_each(take)
            }
            TokenPlace::Param(name) => {
                let params = request.path.query().into_iter().flat_map(|query| query.split('&'));
                let values = params.filter_map(|param| value_of(param, name));
                values.into_iter().try_for_each(|value| take(&value))
            }
            TokenPlace::Cookie(name) => {
                for line in request.headers.get_all(COOKIE) {
                    for pair in line.as_bytes().split(|byte| *byte == b';') {
                        if let Some(value) = cookie_of(pair, name) {
                            take(std::str::from_utf8(value).unwrap_or(""))?;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes out what stands here.
    pub(super) fn clear(&self, request: &mut RequestHead) {
        match self {
            TokenPlace::Header { name, prefix } => {
                let (all, tokens) =
                    request.headers.get_all(name).iter().fold((0, 0), |(all, tokens), value| {
                        (all + 1, tokens + usize::from(behind(value, prefix).is_some()))
                    });
                if all == tokens {
                    request.headers.remove(name);
                } else {
                    keep_values(request, name, |value| {
                        behind(value, prefix).is_none().then(|| value.clone())
                    });
                }
            }
            TokenPlace::Param(name) => clear_param(request, name),
            TokenPlace::Cookie(name) => {
                keep_values(request, &COOKIE, |value| without_cookie(value, name));
            }
        }
    }
}

/// What stands behind a prefix: at once where that ends in no letter, else behind a blank.
fn behind<'v>(value: &'v HeaderValue, prefix: &str) -> Option<&'v str> {
    let bytes = value.as_bytes().trim_ascii();
    let (head, rest) = bytes.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix.as_bytes()) {
        return None;
    }
    let is_word = prefix.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if is_word && !rest.is_empty() && !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
        return None;
    }
    Some(std::str::from_utf8(rest.trim_ascii()).unwrap_or(""))
}

/// The value of a parameter of this name. Names are read as upstreams do, so that none is hidden by how it is written.
fn value_of<'q>(param: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let (written, value) = param.split_once('=').unwrap_or((param, ""));
    if written != name && percent_decode_str(written).decode_utf8().ok()? != name {
        return None;
    }
    Some(percent_decode_str(value).decode_utf8().unwrap_or_default())
}

fn cookie_of<'c>(pair: &'c [u8], name: &str) -> Option<&'c [u8]> {
    let pair = pair.trim_ascii();
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (written, value) = pair.split_at(equals);
    let value = value.get(1..)?.trim_ascii();
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    (written.trim_ascii() == name.as_bytes()).then(|| unquoted.unwrap_or(value))
}

fn keep_values(
    request: &mut RequestHead,
    name: &HeaderName,
    keep: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    let kept: Vec<HeaderValue> = request.headers.get_all(name).iter().filter_map(keep).collect();
    request.headers.remove(name);
    for value in kept {
        request.headers.append(name, value);
    }
}

/// The line without that cookie; `None` where nothing is left.
fn without_cookie(line: &HeaderValue, name: &str) -> Option<HeaderValue> {
    let pairs = line.as_bytes().split(|byte| *byte == b';');
    let kept: Vec<&[u8]> = pairs
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && cookie_of(pair, name).is_none())
        .collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

fn clear_param(request: &mut RequestHead, name: &str) {
    let Some(query) = request.path.query() else { return };
    let kept: Vec<&str> =
        query.split('&').filter(|param| value_of(param, name).is_none()).collect();
    let path = request.path.path();
    let text = match kept.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", kept.join("&")),
    };
    // A part of a valid target is one.
    if let Ok(path) = PathAndQuery::try_from(text) {
        request.path = path;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(prefix: &str) -> TokenPlace {
        TokenPlace::Header { name: AUTHORIZATION, prefix: prefix.into() }
    }

    fn tokens(place: &TokenPlace, request: &RequestHead) -> Vec<String> {
        let mut found = Vec::new();
        let all: Result<(), ()> = place.each_token(request, |token| {
            found.push(token.to_owned());
            Ok(())
        });
        all.unwrap();
        found
    }

    fn with(name: &'static str, values: &[&str], path: &str) -> RequestHead {
        let mut request = RequestHead { path: path.parse().unwrap(), ..RequestHead::default() };
        for value in values {
            request.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }

    #[test]
    fn a_scheme_is_read_in_any_case_and_another_is_no_token() {
        for (value, found) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer a.b.c", Some("a.b.c")),
            ("BEARER   a.b.c ", Some("a.b.c")),
            ("Bearer\ta.b.c", Some("a.b.c")),
            ("Bearer", Some("")),
            ("Bearer ", Some("")),
            ("Bearera.b.c", None),
            ("Basic YTpi", None),
            ("", None),
            ("Bearer \u{e9}", Some("\u{e9}")),
        ] {
            let request = with("authorization", &[value], "/");
            let found: Vec<String> = found.into_iter().map(String::from).collect();
            assert_eq!(tokens(&header("Bearer"), &request), found, "{value:?}");
        }
        let several = with("authorization", &["Bearer a", "Basic b", "Bearer c"], "/");
        assert_eq!(tokens(&header("Bearer"), &several), ["a", "c"]);
        assert_eq!(tokens(&header(""), &with("authorization", &["x"], "/")), ["x"]);
        assert_eq!(tokens(&header("jwt="), &with("authorization", &["JWT=x"], "/")), ["x"]);
    }

    #[test]
    fn parameters_and_cookies_are_all_found() {
        let param = TokenPlace::Param("access_token".into());
        let request = with("x", &[], "/p?access_token=a&b=c&access%5Ftoken=d%2Ee&access_token");
        assert_eq!(tokens(&param, &request), ["a", "d.e", ""]);
        let cookie = TokenPlace::Cookie("jwt".into());
        let request = with("cookie", &["a=b; jwt=x;jwt=\"y\"", "jwt=z; xjwt=n"], "/");
        assert_eq!(tokens(&cookie, &request), ["x", "y", "z"]);
    }

    #[test]
    fn what_is_taken_out_leaves_the_rest() {
        let mut request = with("authorization", &["Bearer a", "Basic b"], "/p?access_token=a&b=c");
        for place in TokenPlace::usual() {
            place.clear(&mut request);
        }
        assert_eq!(request.path, "/p?b=c");
        assert_eq!(
            request.headers.get_all("authorization").iter().collect::<Vec<_>>(),
            ["Basic b"]
        );
        let mut request = with("cookie", &["a=b; jwt=x", "jwt=y"], "/p?jwt=1");
        TokenPlace::Cookie("jwt".into()).clear(&mut request);
        TokenPlace::Param("jwt".into()).clear(&mut request);
        assert_eq!(request.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=b"]);
        assert_eq!(request.path, "/p");
    }
}
