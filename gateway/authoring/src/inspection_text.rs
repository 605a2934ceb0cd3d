//! How an inspection is shown.

use std::fmt::Write as _;

use serde_json::json;

use crate::inspection::{Inspection, is_ours};

impl Inspection {
    /// For people: a line for each thing.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        line("size", &format!("{:.1} KiB", self.size as f64 / 1024.0));
        line("ABI", &self.abi.as_deref().map_or("none".to_owned(), |abi| abi.replace('_', ".")));
        line("memory", &format!("{} KiB at the start", self.memory_pages * 64));
        line("callbacks", &list(self.callbacks()));
        line("imports", &list(self.imports.iter().map(String::as_str)));
        line("needs", &list(self.needed.iter().map(|capability| capability.name())));
        line(
            "declares",
            &self.declared.as_ref().map_or("nothing (no manifest)".to_owned(), ToString::to_string),
        );
        line(
            "schema",
            if self.schema.is_some() { "of its configuration: see --output json" } else { "none" },
        );
        let sections = self.sections.iter().filter(|(name, _)| !is_ours(name));
        line("sections", &list(sections.map(|(name, size)| format!("{name} ({size} bytes)"))));
        line(
            "verdict",
            &self
                .refused
                .as_ref()
                .map_or("the gateway takes it".to_owned(), |why| format!("REFUSED: {why}")),
        );
        text
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "size": self.size,
            "abi": self.abi.as_deref().map(|abi| abi.replace('_', ".")),
            "memory_pages": self.memory_pages,
            "callbacks": self.callbacks().collect::<Vec<_>>(),
            "imports": self.imports,
            "needed": self.needed.iter().map(|capability| capability.name()).collect::<Vec<_>>(),
            "declared": self.declared.as_ref().map(ToString::to_string),
            "schema": self.schema,
            "sections": self.sections.iter().map(|(name, size)| json!({ "name": name, "bytes": size })).collect::<Vec<_>>(),
            "refused": self.refused,
        })
    }
}

fn list<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    if text.is_empty() { "none".to_owned() } else { text }
}
