//! Rust source as tokens: what stands in comments, texts and tests is no import.

use std::path::Path;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// A file's tokens.
pub fn read(file: &Path) -> TokenStream {
    let text = std::fs::read_to_string(file).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Whether a word stands anywhere.
pub fn has_word(tokens: &TokenStream, word: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(&group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// What a file says of modules.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Paths that begin with `crate`, `self` or `super`.
    pub paths: Vec<Vec<String>>,
    /// What a `use` brings in: the name, and the path behind it.
    pub names: Vec<(String, Vec<String>)>,
    /// Modules declared for tests alone.
    pub test_modules: Vec<String>,
}

impl Mentions {
    /// Reads them off the tokens of a file, tests left out.
    pub fn of(tokens: TokenStream) -> Self {
        let mut mentions = Mentions::default();
        mentions.collect(&tokens.into_iter().collect::<Vec<_>>());
        mentions
    }

    fn collect(&mut self, tokens: &[TokenTree]) {
        let mut rest = tokens;
        while let [first, behind @ ..] = rest {
            let read = &tokens[..tokens.len() - rest.len()];
            if is_test_attribute(first, behind.first()) {
                rest = self.skip_item(&behind[1..]);
                continue;
            }
            match first {
                TokenTree::Group(group) => {
                    self.collect(&group.stream().into_iter().collect::<Vec<_>>());
                }
                TokenTree::Ident(ident) if ident == "use" => {
                    read_tree(behind, &mut Vec::new(), &mut self.names);
                }
                TokenTree::Ident(ident) if is_anchor(ident, read) && is_path(behind) => {
                    let mut found = Vec::new();
                    read_tree(rest, &mut Vec::new(), &mut found);
                    self.paths.extend(found.into_iter().map(|(_, path)| path));
                }
                _ => {}
            }
            rest = behind;
        }
    }

    /// Goes past the item behind a `#[cfg(test)]`.
    fn skip_item<'t>(&mut self, tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) if ident == "mod" => {
                    self.test_modules.extend(tokens.get(at + 1).map(ToString::to_string));
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => return &tokens[at + 1..],
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    return &tokens[at + 1..];
                }
                _ => {}
            }
        }
        &[]
    }
}

/// Whether a path begins here, and does not only go on.
fn is_anchor(word: &Ident, before: &[TokenTree]) -> bool {
    let goes_on = before.len() >= 2 && is_path(&before[before.len() - 2..]);
    (word == "crate" || word == "self" || word == "super") && !goes_on
}

fn is_path(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(tokens.first()) && is_colon(tokens.get(1))
}

fn is_test_attribute(hash: &TokenTree, brackets: Option<&TokenTree>) -> bool {
    let (TokenTree::Punct(hash), Some(TokenTree::Group(group))) = (hash, brackets) else {
        return false;
    };
    let inside = group.stream();
    hash.as_char() == '#'
        && has_word(&inside, "cfg")
        && has_word(&inside, "test")
        && !has_word(&inside, "not")
}

/// Reads a path, or a tree of paths as in a `use`, into name and path of each leaf.
fn read_tree(
    tokens: &[TokenTree],
    before: &mut Vec<String>,
    leaves: &mut Vec<(String, Vec<String>)>,
) {
    let depth = before.len();
    let mut rest = tokens;
    loop {
        match rest {
            [TokenTree::Ident(ident), behind @ ..] => {
                // `a::{self}` names `a` itself.
                if before.is_empty() || ident != "self" {
                    before.push(ident.to_string());
                }
                if is_path(behind) {
                    rest = &behind[2..];
                    continue;
                }
                let name = match behind {
                    [TokenTree::Ident(renames), TokenTree::Ident(name), ..] if renames == "as" => {
                        name.to_string()
                    }
                    _ => before.last().cloned().unwrap_or_default(),
                };
                leaves.push((name, before.clone()));
            }
            [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
                let members: Vec<_> = group.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                for member in members.split(is_comma) {
                    read_tree(member, before, leaves);
                }
            }
            _ => leaves.push(("*".to_owned(), before.clone())),
        }
        before.truncate(depth);
        return;
    }
}

#[test]
fn paths_are_read_wherever_they_stand() {
    let source = "
        use crate::a::{b, c::{self, D as E}};
        //! crate::comment
        fn f(x: crate::g::G) { m!(\"crate::text\", super::super::h::i()); }
        #[cfg(test)] mod oracle;
        #[cfg(test)] mod tests { use crate::only::tests; }
    ";
    let mentions = Mentions::of(source.parse().unwrap());
    let paths: Vec<_> = mentions.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        ["crate::a::b", "crate::a::c", "crate::a::c::D", "crate::g::G", "super::super::h::i"]
    );
    let names: Vec<_> = mentions.names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "c", "E"]);
    assert_eq!(mentions.test_modules, ["oracle", "tests"]);
}
