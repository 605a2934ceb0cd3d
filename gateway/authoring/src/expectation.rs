//! A message against what was expected of it.

use crate::message::Message;
use crate::one_or_more::OneOrMore;
use crate::suite::ExpectedMessage;

/// Every way in which a message is not as expected.
pub(crate) fn mismatches(expected: &ExpectedMessage, message: &Message) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, expected: &str, is: &str| {
        if expected != is {
            found.push(format!("{what} is {is:?}, not {expected:?}"));
        }
    };
    if let Some(method) = &expected.method {
        differ("the method", method, message.method.as_deref().unwrap_or_default());
    }
    if let Some(path) = &expected.path {
        differ("the path", path, message.path.as_deref().unwrap_or_default());
    }
    if let Some(status) = expected.status {
        differ("the status", &status.to_string(), &message.status.unwrap_or_default().to_string());
    }
    if let Some(body) = &expected.body {
        differ("the body", body, &String::from_utf8_lossy(&message.body));
    }
    for (name, values) in &expected.headers {
        found.extend(header_mismatch(name, values.as_ref(), message));
    }
    found
}

fn header_mismatch(name: &str, expected: Option<&OneOrMore>, message: &Message) -> Option<String> {
    let values = message.headers.get_all(name).iter();
    let is: Vec<String> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    match expected {
        None if is.is_empty() => None,
        None => {
            Some(format!("the header `{name}` is {}, and should not be there", is.join(" and ")))
        }
        Some(expected) if expected.texts() == is => None,
        Some(expected) if is.is_empty() => Some(format!(
            "there is no header `{name}`; it should be {:?}",
            expected.texts().join(" and ")
        )),
        Some(expected) => Some(format!(
            "the header `{name}` is {:?}, not {:?}",
            is.join(" and "),
            expected.texts().join(" and ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn message() -> Message {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        Message { status: Some(200), headers, body: "text".into(), ..Message::default() }
    }

    fn found(expected: &str) -> Vec<String> {
        mismatches(&serde_saphyr::from_str(expected).unwrap(), &message())
    }

    #[test]
    fn what_is_as_expected_says_nothing() {
        let empty = Vec::<String>::new();
        assert_eq!(found("{}"), empty);
        assert_eq!(
            found(
                "{ status: 200, body: text, headers: { x-a: [1, 2], X-A: ['1', '2'], x-b: null } }"
            ),
            empty
        );
    }

    #[test]
    fn each_difference_is_named() {
        for (expected, what) in [
            ("{ status: 404 }", "the status is \"200\", not \"404\""),
            ("{ body: other }", "the body is \"text\""),
            ("{ headers: { x-a: 1 } }", "the header `x-a` is \"1 and 2\", not \"1\""),
            ("{ headers: { x-a: null } }", "should not be there"),
            ("{ headers: { x-b: 1 } }", "there is no header `x-b`"),
            ("{ method: GET, path: / }", "the method is \"\""),
        ] {
            assert!(
                found(expected).first().unwrap().contains(what),
                "{expected}: {:?}",
                found(expected)
            );
        }
    }
}
