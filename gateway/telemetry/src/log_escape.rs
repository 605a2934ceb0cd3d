//! Escaping of what strangers wrote, so that no value can forge a log line or break out of its quotes.

/// Appends bytes as the inside of a JSON string. Text lines use the same escapes: control characters, quotes
/// and backslashes never appear bare, and bytes that are not UTF-8 become U+FFFD.
pub(crate) fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(out, c);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// At most `limit` bytes of it, never half a character.
pub(crate) fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    let Some(mut head) = bytes.get(..limit) else { return bytes };
    let is_continuation = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0xc0 == 0x80);
    if is_continuation(bytes.get(limit)) {
        while is_continuation(head.last()) {
            head = head.split_last().map_or(head, |(_, rest)| rest);
        }
        head = head.split_last().map_or(head, |(_, rest)| rest);
    }
    head
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // Line and paragraph separators end a line for some readers.
        c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => push_code(out, c as u32),
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn push_code(out: &mut Vec<u8>, code: u32) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit(code >> shift & 15, 16).unwrap_or('0');
        out.push(digit as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_escaped(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_text_stays() {
        assert_eq!(escaped(b"Mozilla/5.0 (X11)"), "Mozilla/5.0 (X11)");
        assert_eq!(escaped("grün".as_bytes()), "grün");
    }

    #[test]
    fn nothing_forges_a_line() {
        assert_eq!(escaped(b"a\r\n\"b\"\\\x1b\x7f"), r#"a\r\n\"b\"\\\u001b\u007f"#);
        assert_eq!(escaped("\u{85}\u{2028}".as_bytes()), r"\u0085\u2028");
        assert_eq!(escaped(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        assert_eq!(cut("grün".as_bytes(), 3), b"gr");
        assert_eq!(cut("grün".as_bytes(), 4), "grü".as_bytes());
        assert_eq!(cut(b"abc", 9), b"abc");
        assert_eq!(cut(b"abc", 0), b"");
    }
}
