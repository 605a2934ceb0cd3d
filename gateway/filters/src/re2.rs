//! What RE2 means by the classes and borders that the library reads more widely: `\d`, `\s`, `\w`, `\b` and their
//! opposites speak of ASCII alone there, as Istio's users expect. They take a hundredth of the memory, too.

/// The expression in the library's words. Only one that the library can read may be given.
pub(crate) fn in_ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 64);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            written.push(letter);
            continue;
        }
        match letters.next() {
            Some(escaped) => match meaning(escaped) {
                Some(meaning) => written.push_str(meaning),
                None => written.extend(['\\', escaped]),
            },
            None => written.push('\\'),
        }
    }
    written
}

/// In or out of brackets: a class within a class adds what is in it. A border in brackets is none that can be read.
fn meaning(escaped: char) -> Option<&'static str> {
    Some(match escaped {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'b' => r"(?-u:\b)",
        'B' => r"(?-u:\B)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_borders_are_those_of_ascii() {
        for (written, meant) in [
            (r"/\w+/\d{2}", "/[0-9A-Za-z_]+/[0-9]{2}"),
            (r"[\w.-]", "[[0-9A-Za-z_].-]"),
            (r"[^\d\s]", r"[^[0-9][\t\n\f\r ]]"),
            (r"\\w\\\d\x41", r"\\w\\[0-9]\x41"),
            (r"\ba\B", r"(?-u:\b)a(?-u:\B)"),
            ("é", "é"),
        ] {
            assert_eq!(in_ascii(written), meant);
        }
    }
}
