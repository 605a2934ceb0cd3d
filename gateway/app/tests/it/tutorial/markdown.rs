//! The fenced blocks of a page, and whether what a command says is what the page shows.

/// What stands between two fences.
pub struct Block {
    /// The line of its opening fence.
    pub line: usize,
    /// What stands behind that fence: `sh`, `rust src/lib.rs`.
    pub info: String,
    /// The lines within.
    pub text: String,
}

/// All of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (line, text) in page.lines().enumerate() {
        match (text.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some(Block { line: line + 1, info: info.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Whether lines are as shown: a line of `…` alone stands for any number of them, `…` within one for any text.
pub fn lines_fit(shown: &[&str], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && lines_fit(rest, others)),
    }
}

/// The same for one line.
pub fn line_fits(shown: &str, line: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else { return shown == line };
    line.strip_prefix(before).is_some_and(|rest| {
        let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        starts.into_iter().any(|at| line_fits(after, &rest[at..]))
    })
}

#[test]
fn blocks_are_found_with_their_lines() {
    let found = blocks("a\n```sh\nls\n```\nb\n```rust src/lib.rs\nfn a() {}\n\n```\n");
    let found: Vec<_> = found.iter().map(|b| (b.line, &*b.info, &*b.text)).collect();
    assert_eq!(found, [(2, "sh", "ls\n"), (6, "rust src/lib.rs", "fn a() {}\n\n")]);
}

#[test]
fn placeholders_stand_for_what_differs_and_nothing_else() {
    assert!(line_fits("ok … (… ms)", "ok it works (1.2 ms)"));
    assert!(line_fits("a…", "a") && !line_fits("a…b", "a") && !line_fits("a", "ab"));
    assert!(lines_fit(&["…", "b", "…"], &["a", "b"]));
    assert!(!lines_fit(&["…", "b"], &["a", "b", "c"]) && !lines_fit(&["a", "b"], &["a"]));
}
