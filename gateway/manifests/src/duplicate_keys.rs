//! Keys that stand twice in one mapping: YAML forbids them, and no reader agrees with another on which wins.

use std::collections::HashMap;

use crate::codes;
use crate::report::{Gravity, Report};
use crate::yaml::{Node, Place, Value};

/// Reports every key of an object that repeats.
pub(crate) fn report_duplicate_keys(node: &Node, report: &Report) {
    visit(node, &mut Vec::new(), report);
}

enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

fn visit<'n>(node: &'n Node, path: &mut Vec<Step<'n>>, report: &Report) {
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                visit(item, path, report);
                path.pop();
            }
        }
        Value::Map(entries) => {
            let mut seen = Seen::new(entries.len());
            for (key, value) in entries {
                path.push(Step::Key(&key.text));
                if let Some(first) = seen.insert(&key.text, key.place) {
                    say(path, key.place, first, report);
                }
                visit(value, path, report);
                path.pop();
            }
        }
        _ => {}
    }
}

fn say(path: &[Step<'_>], place: Place, first: Place, report: &Report) {
    let mut field = String::new();
    for step in path {
        match step {
            Step::Index(index) => field += &format!("[{index}]"),
            Step::Key(key) if field.is_empty() => field += key,
            Step::Key(key) => field += &format!(".{key}"),
        }
    }
    let first = report.origin(first).line;
    let message = format!("the key is written twice; the first stands in line {first}");
    let origin = report.origin(place);
    let said = (message, "remove one of them".to_owned());
    report.add(Gravity::Breaks, codes::DUPLICATE_KEY, field, origin, said);
}

/// Most mappings have a handful of keys, for which a list beats a hash map.
enum Seen<'n> {
    Few(Vec<(&'n str, Place)>),
    Many(HashMap<&'n str, Place>),
}

impl<'n> Seen<'n> {
    fn new(keys: usize) -> Self {
        if keys <= 16 { Seen::Few(Vec::with_capacity(keys)) } else { Seen::Many(HashMap::new()) }
    }

    /// Takes in a key; returns the place where it stood before.
    fn insert(&mut self, key: &'n str, place: Place) -> Option<Place> {
        match self {
            Seen::Few(seen) => {
                let first = seen.iter().find(|(known, _)| *known == key).map(|(_, place)| *place);
                seen.push((key, place));
                first
            }
            Seen::Many(seen) => seen.insert(key, place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn the_second_is_reported_with_the_place_of_the_first() {
        let many: String = (0..20).map(|number| format!("k{number}: 1\n")).collect();
        for text in ["a:\n- b: 1\n  c: 2\n  b: 3\n".to_owned(), format!("{many}k3: 2\n")] {
            let report = Report::new(None, "t".into(), 0);
            report_duplicate_keys(&parse(&text).unwrap().unwrap(), &report);
            let problems = report.into_problems();
            assert_eq!(problems.len(), 1);
            assert!(problems[0].message.contains("written twice"));
        }
    }
}
