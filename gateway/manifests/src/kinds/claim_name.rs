//! Names of claims in a match: `@request.auth.claims.x.y` and `@request.auth.claims[x][y]`.

use crate::reader::Cursor;

/// What such names begin with, in any case.
const PREFIX: &str = "@request.auth.claims";

/// The way to the claim that a name means. Names with dots in them stand in brackets.
pub(super) fn read_claim_name(name: &str, value: &Cursor<'_>) -> Option<Vec<Box<str>>> {
    let path = parse(name);
    if path.is_none() {
        value.refuse(
            format!("`{name}` names no claim"),
            "write `@request.auth.claims.name`, or `@request.auth.claims[name][inner]`",
        );
    }
    path
}

fn parse(name: &str) -> Option<Vec<Box<str>>> {
    let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let steps: Vec<Box<str>> = match rest.strip_prefix('.') {
        Some(dotted) => dotted.split('.').map(Into::into).collect(),
        None => {
            let inside = rest.strip_prefix('[')?.strip_suffix(']')?;
            inside.split("][").map(Into::into).collect()
        }
    };
    let is_step = |step: &str| !step.is_empty() && !step.contains(['[', ']']);
    steps.iter().all(|step| is_step(step)).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_lead_to_a_claim() {
        let read = |name: &str| parse(name).map(|steps| steps.join(" "));
        for (name, steps) in [
            ("@request.auth.claims.sub", "sub"),
            ("@request.auth.claims.realm.roles", "realm roles"),
            ("@request.auth.claims[realm][roles]", "realm roles"),
            ("@Request.Auth.Claims[https://a.test/roles]", "https://a.test/roles"),
        ] {
            assert_eq!(read(name).as_deref(), Some(steps), "{name}");
        }
        for bad in [
            "@request.auth.claims",
            "@request.auth.claims.",
            "@request.auth.claims.a..b",
            "@request.auth.claims[]",
            "@request.auth.claims[a]b",
            "@request.auth.claims[a][b",
            "@request.auth.claimsx",
            "@request.auth.principal",
            "@",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
