//! An expression's text cut into tokens.

use super::fault::Fault;

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Text(Vec<u8>),
    Int(i64),
    Float(f64),
    /// An operator or bracket.
    Sign(&'static str),
}

/// The longest of those that begin alike come first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ".", ",",
];

/// The tokens, each with the place that it begins at.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Fault> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let fault = |message: String| Fault { message, at };
        let (token, after) = if let Some(string) = string(rest) {
            string.map_err(fault)?
        } else if first.is_ascii_digit() {
            number(rest).map_err(fault)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (Token::Name(name.to_owned()), after)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| fault(format!("`{first}` means nothing here")))?;
            (Token::Sign(sign), rest.get(sign.len()..).unwrap_or_default())
        };
        found.push((token, at));
        rest = after;
    }
}

fn number(rest: &str) -> Result<(Token, &str), String> {
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let (digits, after) = hex.split_at(end);
        let number =
            i64::from_str_radix(digits, 16).map_err(|_| format!("`0x{digits}` is no number"))?;
        return Ok((Token::Int(number), unsigned(after)));
    }
    let mut end = 0;
    let mut before = ' ';
    for (index, c) in rest.char_indices() {
        let is_part = c.is_ascii_digit()
            || matches!(c, 'e' | 'E')
            || (c == '.'
                && rest
                    .get(index + 1..)
                    .is_some_and(|r| r.starts_with(|d: char| d.is_ascii_digit())))
            || (matches!(c, '+' | '-') && matches!(before, 'e' | 'E'));
        if !is_part {
            break;
        }
        (end, before) = (index + c.len_utf8(), c);
    }
    let (digits, after) = rest.split_at(end);
    let refused = || format!("`{digits}` is no number");
    if digits.contains(['.', 'e', 'E']) {
        return Ok((Token::Float(digits.parse().map_err(|_| refused())?), after));
    }
    Ok((Token::Int(digits.parse().map_err(|_| refused())?), unsigned(after)))
}

/// What follows a number, without the mark of an unsigned one.
fn unsigned(after: &str) -> &str {
    after.strip_prefix(['u', 'U']).unwrap_or(after)
}

/// A text in quotes, where one begins here.
fn string(rest: &str) -> Option<Result<(Token, &str), String>> {
    let quote = rest.find(['"', '\'']).filter(|at| *at <= 2)?;
    let (marks, quoted) = rest.split_at(quote);
    let is_marked = matches!(marks.to_ascii_lowercase().as_str(), "" | "r" | "b" | "rb" | "br");
    if !is_marked {
        return None;
    }
    let raw = marks.contains(['r', 'R']);
    let one = quoted.get(..1)?;
    let triple = one.repeat(3);
    let end = if quoted.starts_with(&triple) { triple.as_str() } else { one };
    Some(unquote(quoted.get(end.len()..).unwrap_or_default(), end, raw))
}

fn unquote<'t>(body: &'t str, end: &str, raw: bool) -> Result<(Token, &'t str), String> {
    let mut bytes = Vec::new();
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Ok((Token::Text(bytes), after));
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return Err("this text has no end".to_owned()),
            Some('\n') if end.len() == 1 => return Err("this text has no end".to_owned()),
            Some('\\') if !raw => {
                rest = escape(chars.as_str(), &mut bytes)?;
            }
            Some(other) => {
                bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                rest = chars.as_str();
            }
        }
    }
}

/// What stands behind a backslash; the rest behind that.
fn escape<'t>(rest: &'t str, bytes: &mut Vec<u8>) -> Result<&'t str, String> {
    let mut chars = rest.chars();
    let Some(letter) = chars.next() else { return Err("this text has no end".to_owned()) };
    let after = chars.as_str();
    let plain = match letter {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'v' => 11,
        '\\' | '\'' | '"' | '`' | '?' => u8::try_from(letter).unwrap_or_default(),
        'x' | 'X' => return by_number(after, 2, bytes),
        'u' => return by_number(after, 4, bytes),
        'U' => return by_number(after, 8, bytes),
        _ => return Err(format!("`\\{letter}` means nothing in a text")),
    };
    bytes.push(plain);
    Ok(after)
}

fn by_number<'t>(rest: &'t str, digits: usize, bytes: &mut Vec<u8>) -> Result<&'t str, String> {
    let number = rest.get(..digits).and_then(|number| u32::from_str_radix(number, 16).ok());
    let character = number.and_then(char::from_u32);
    let character = character.ok_or("this names no character")?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest.get(digits..).unwrap_or_default())
}
