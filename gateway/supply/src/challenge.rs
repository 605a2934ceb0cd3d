//! How a server wants to be told who asks (`WWW-Authenticate`).

/// One way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password.
    Basic,
    /// A token, from elsewhere.
    Bearer {
        /// Where tokens come from.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

/// The ways that a field's value names; what is not known here is left out.
pub fn read_challenges(value: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = value.trim();
    while let Some((scheme, parameters)) = next_scheme(rest) {
        let (read, after) = read_parameters(parameters);
        let named = |name: &str| {
            let of_name = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
            read.iter().find(of_name).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = named("realm")
        {
            found.push(Challenge::Bearer {
                realm,
                service: named("service"),
                scope: named("scope"),
            });
        }
        rest = after;
    }
    found
}

/// The word at the beginning, and what follows it.
fn next_scheme(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', ',', '\t']);
    let end = text.find([' ', ',']).unwrap_or(text.len());
    let (scheme, rest) = text.split_at_checked(end)?;
    (!scheme.is_empty()).then_some((scheme, rest))
}

/// `name=value` and `name="value"` joined by commas, as long as that lasts.
fn read_parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut read = Vec::new();
    let mut rest = text;
    loop {
        let begin = rest.trim_start_matches([' ', ',', '\t']);
        let end = begin.find(['=', ' ', ',']).unwrap_or(begin.len());
        let (name, after) = begin.split_at(end);
        let Some(after) = after.strip_prefix('=') else { return (read, begin) };
        let (value, after) = read_value(after);
        read.push((name.to_owned(), value));
        rest = after;
    }
}

fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, letter) in quoted.char_indices() {
        match letter {
            '"' if !escaped => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' if !escaped => escaped = true,
            _ => {
                value.push(letter);
                escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: Some("repository:library/x:pull,push".into()),
        };
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io", scope="repository:library/x:pull,push""#;
        assert_eq!(read_challenges(text), std::slice::from_ref(&bearer));
        assert_eq!(
            read_challenges(&format!("Basic realm=\"a, b\", {text}")),
            [Challenge::Basic, bearer]
        );
        assert_eq!(read_challenges("basic"), [Challenge::Basic]);
        assert_eq!(read_challenges("Negotiate, Bearer x=1"), []);
    }

    proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in "\\PC*", mixed in "[ ,=\"\\\\a]{0,40}") {
            read_challenges(&text);
            read_challenges(&mixed);
        }
    }
}
