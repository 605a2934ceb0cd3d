//! Files of manifests.

use portcullis_manifests::{Conversion, Draft, Memory, SourceFile, into_model};
use portcullis_message::HeadRules;

/// Whatever is read gives a model; reading it again, after a part of it, gives the same one.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let whole = Draft::read(vec![source(&text)]);
    let first = convert(&whole, &Memory::default());
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let part = Draft::read_with(vec![source(text.get(..middle).unwrap_or(""))], &whole);
    let again = Draft::read_with(vec![source(&text)], &part);
    let second = convert(&again, &Memory::default());
    assert_eq!(told(&first), told(&second), "the problems depend on what was read before");
    assert!(first.model == second.model, "the model depends on what was read before");
    convert(&part, &first.memory);
}

fn convert(draft: &Draft, memory: &Memory) -> Conversion {
    into_model(draft, memory, HeadRules::default())
}

fn source(text: &str) -> SourceFile {
    SourceFile { path: "fuzz.yaml".into(), directory: "/".into(), text: text.into() }
}

fn told(conversion: &Conversion) -> Vec<String> {
    conversion.problems.iter().map(ToString::to_string).collect()
}
