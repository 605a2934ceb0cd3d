//! `#[filter]`: what is not written is added, what is exported is found.
//!
//! What it is *not*: a parser of Rust. It looks for the implementing type and for words.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

use crate::exports;
use crate::written::Written;

/// Functions and macros beside `.await` that wait.
const WAITING_WORDS: [&str; 7] =
    ["await", "join", "try_join", "select", "select_biased", "poll_fn", "ready"];

pub(crate) fn expand(arguments: TokenStream, implementation: TokenStream) -> TokenStream {
    let said = arguments.to_string();
    if !matches!(said.as_str(), "" | "waits") {
        return complaint(&format!("#[filter({said})]: it takes nothing, or `waits`"));
    }
    let tokens: Vec<TokenTree> = implementation.into_iter().collect();
    let Some((filter, body)) = find_filter(&tokens) else {
        return complaint("#[filter] belongs above `impl Filter for YourType { … }`");
    };
    let mut written = read(filter, &body);
    written.waits |= said == "waits" || written.has("background");
    let mut output: TokenStream = tokens.iter().take(tokens.len() - 1).cloned().collect();
    output.extend([TokenTree::Group(complete(&body, &written))]);
    output.extend(exports::exports(&written).parse::<TokenStream>());
    output
}

/// The tokens between `for` and the braces name the type.
fn find_filter(tokens: &[TokenTree]) -> Option<(String, Group)> {
    let (last, head) = tokens.split_last()?;
    let TokenTree::Group(body) = last else { return None };
    let after_for = head.iter().position(|token| is_word(token, "for"))?;
    let filter: TokenStream = head.iter().skip(after_for + 1).cloned().collect();
    (body.delimiter() == Delimiter::Brace && !filter.is_empty())
        .then(|| (filter.to_string(), body.clone()))
}

fn read(filter: String, body: &Group) -> Written {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let pairs = || tokens.iter().zip(tokens.iter().skip(1)).enumerate();
    let functions = pairs()
        .filter(|(_, (word, _))| is_word(word, "fn"))
        .map(|(_, (_, name))| name.to_string())
        .collect();
    let types = pairs()
        .filter(|(_, (word, _))| is_word(word, "type"))
        .map(|(at, (_, name))| (name.to_string(), value_of(&tokens, at + 2)))
        .collect();
    let waits = waits(body.stream()) || has_plain_callback(&tokens);
    Written { filter, functions, types, waits }
}

/// What stands between `=` and `;`.
fn value_of(tokens: &[TokenTree], from: usize) -> String {
    let is = |token: &TokenTree, sign: char| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
    let value = tokens
        .iter()
        .skip(from)
        .skip_while(|token| is(token, '='))
        .take_while(|token| !is(token, ';'));
    value.cloned().collect::<TokenStream>().to_string()
}

fn waits(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => WAITING_WORDS.contains(&word.to_string().as_str()),
        TokenTree::Group(group) => waits(group.stream()),
        _ => false,
    })
}

/// A callback without `async` gives a future that was made elsewhere.
fn has_plain_callback(tokens: &[TokenTree]) -> bool {
    let named = |token: &TokenTree| is_word(token, "request") || is_word(token, "response");
    tokens.iter().enumerate().any(|(at, token)| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        is_word(token, "fn")
            && tokens.get(at + 1).is_some_and(named)
            && !before.is_some_and(|before| is_word(before, "async"))
    })
}

/// The implementation with all that the trait asks for.
fn complete(body: &Group, written: &Written) -> Group {
    let mut added = String::new();
    for (name, default) in [
        ("Configuration", "::portcullis_sdk::NoConfiguration"),
        ("State", "()"),
        ("RequestBody", "::portcullis_sdk::Unread"),
        ("ResponseBody", "::portcullis_sdk::Unread"),
    ] {
        if !written.names(name) {
            added.push_str(&format!("type {name} = {default};"));
        }
    }
    if !written.has("new") {
        added.push_str(&maker(written));
    }
    added.push_str(&format!("const WAITS: bool = {};", written.waits));
    added.push_str(&format!("const BACKGROUND: bool = {};", written.has("background")));
    let mut stream = body.stream();
    stream.extend(added.parse::<TokenStream>());
    let mut completed = Group::new(Delimiter::Brace, stream);
    completed.set_span(body.span());
    completed
}

/// `new`, where there is no configuration to make the filter from, or the filter itself is what is configured.
fn maker(written: &Written) -> String {
    let made = if written.is_its_configuration() {
        "configuration"
    } else if !written.names("Configuration") {
        "<Self as ::core::default::Default>::default()"
    } else {
        return String::new();
    };
    format!(
        "fn new(
            configuration: Self::Configuration,
            _: &mut ::portcullis_sdk::Setup,
        ) -> ::core::result::Result<Self, ::portcullis_sdk::ConfigurationError> {{
            let _ = &configuration;
            ::core::result::Result::Ok({made})
        }}"
    )
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn complaint(message: &str) -> TokenStream {
    format!("::core::compile_error!({message:?});").parse().unwrap_or_default()
}
