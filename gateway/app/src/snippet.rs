//! A line of a file with a mark under what is meant, as compilers show it.

/// Whether a report is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// With the sequences of ANSI terminals.
    On,
    /// Plain text.
    Off,
}

/// What a piece of a report is, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// What is wrong.
    Error,
    /// What should be looked at.
    Warning,
    /// What is as it should be.
    Good,
    /// Frames and places.
    Frame,
    /// What stands out.
    Strong,
}

/// So many characters of a line are shown.
const WIDEST: usize = 160;
/// So many of them before the mark, where the line is longer.
const BEFORE: usize = 60;

impl Colour {
    /// Colours where standard output is a terminal that has them, and nobody asked for none (`NO_COLOR`).
    pub(crate) fn of_output() -> Self {
        use std::io::IsTerminal as _;
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !refused { Colour::On } else { Colour::Off }
    }

    /// A piece of text in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Error => "1;31",
            Tone::Warning => "1;33",
            Tone::Good => "1;32",
            Tone::Frame => "1;34",
            Tone::Strong => "1",
        };
        match self {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }
}

/// The line with this number, and under it a mark at this column (both from 1), as long as the word that stands there.
pub(crate) fn snippet(line: &str, number: u32, column: u32, tone: Tone, colour: Colour) -> String {
    let characters: Vec<char> = line.chars().map(shown).collect();
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0).min(characters.len());
    let start = if characters.len() > WIDEST { column.saturating_sub(BEFORE) } else { 0 };
    let text: String = characters.iter().skip(start).take(WIDEST).collect();
    let (front, back) = (
        if start > 0 { "…" } else { "" },
        if characters.len() > start + WIDEST { "…" } else { "" },
    );
    let length = word(&characters, column).min(WIDEST - (column - start).min(WIDEST - 1));
    let indent = " ".repeat(column - start + front.chars().count());
    let number = number.to_string();
    let margin = " ".repeat(number.len());
    let frame = |text: &str| colour.paint(Tone::Frame, text);
    let mark = colour.paint(tone, &"^".repeat(length));
    format!(
        "{}\n{} {front}{}{back}\n{} {indent}{mark}\n",
        frame(&format!("{margin} |")),
        frame(&format!("{number} |")),
        text.trim_end(),
        frame(&format!("{margin} |")),
    )
}

/// How long what begins here is: a text in quotes, or a word.
fn word(characters: &[char], column: usize) -> usize {
    let rest = characters.get(column..).unwrap_or_default();
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => {
            rest.iter().skip(1).position(|c| c == quote).map_or(1, |end| end + 2)
        }
        _ => {
            let ends = |(index, c): (usize, &char)| {
                let next = rest.get(index + 1);
                c.is_whitespace()
                    || matches!(c, ',' | '}' | ']' | '{' | '[')
                    || (*c == ':' && next.is_none_or(|next| next.is_whitespace()))
            };
            rest.iter().enumerate().position(|(index, c)| ends((index, c))).unwrap_or(rest.len())
        }
    };
    length.max(1)
}

/// A text of which nothing moves a terminal's cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            '\u{fffd}'
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str, column: u32) -> String {
        snippet(line, 9, column, Tone::Error, Colour::Off)
    }

    #[test]
    fn the_mark_is_as_long_as_the_word() {
        assert_eq!(plain("  - mtach:", 5), "  |\n9 |   - mtach:\n  |     ^^^^^\n");
        assert_eq!(plain("a: \"b c\" # d", 4), "  |\n9 | a: \"b c\" # d\n  |    ^^^^^\n");
        assert_eq!(plain("a: {b: [c]}", 8), "  |\n9 | a: {b: [c]}\n  |        ^\n");
        assert_eq!(plain("uri: http://x", 6), "  |\n9 | uri: http://x\n  |      ^^^^^^^^\n");
        assert_eq!(plain("a", 7), "  |\n9 | a\n  |  ^\n");
    }

    #[test]
    fn of_a_long_line_is_shown_what_stands_around_the_mark() {
        let line = format!("{}here{}", "x ".repeat(500), " y".repeat(500));
        let text = plain(&line, 1001);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("9 | …x x") && lines[1].ends_with('…'), "{text}");
        let at = lines[2].find('^').unwrap();
        let marked: String = lines[1].chars().skip(at).take(4).collect();
        assert_eq!((marked.as_str(), lines[2].trim_start_matches([' ', '|'])), ("here", "^^^^"));
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_as_a_command() {
        assert!(!plain("a: \x1b[2J\u{202e}", 1).contains(['\x1b', '\u{202e}']));
        assert_eq!(harmless("a\x07b"), "a\u{fffd}b");
    }

    #[test]
    fn colours_are_sequences_or_nothing() {
        assert_eq!(Colour::On.paint(Tone::Error, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Colour::Off.paint(Tone::Error, "x"), "x");
    }
}
